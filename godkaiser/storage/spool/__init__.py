"""The spool: what waits on disk while the database takes nothing."""
