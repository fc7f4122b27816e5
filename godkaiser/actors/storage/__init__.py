"""The actors that write to the database and the spool.

`recorder.py` and `journal.py` store acknowledged data; the others clean up, replay and make
rollups. Others send them the messages that stand beside each actor, and read the views of
`messages.py`. How they commit, encode and replay (`group_commit.py`, `record_codec.py`,
`replay.py`, `spool.py`) is private.
"""
