"""The database itself: opening, deadlines, schema, migrations, moving to another engine.

Others use `database.py`; the start and the consoles also `migrations.py`, `upgrade.py`, `move.py` and `unusable.py`.
Tables, statements and drivers are for `godkaiser.storage`, and for the journal, which writes statements in batches.
"""
