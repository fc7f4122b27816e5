"""The database itself: opening, deadlines, schema, migrations, moving it to another one."""
