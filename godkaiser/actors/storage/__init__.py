"""The actors that write to the database and the spool.

`recorder.py` and `journal.py` keep what is acknowledged; the others tidy, replay and sum up what is stored.
"""
