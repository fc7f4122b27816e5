"""The spool: data that waits on disk while the database is unavailable.

Used by the storage actors, and by its console through `reader.py`; `segment_log.py` is private.
"""
