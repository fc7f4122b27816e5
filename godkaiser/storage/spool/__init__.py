"""The spool: what waits on disk while the database takes nothing.

Used by the storage actors, and by its console through `reader.py`; `segment_log.py` is private.
"""
