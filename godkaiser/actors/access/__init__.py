"""The actors that write access data: accounts, API keys, signing keys, notes of commands.

There are three actors, because their stores fail separately: a database that hangs must not delay
the note of a command (`idempotency.py`) or a new signing key (`signing_keys.py`), which are files.
Requests are checked against the values that these actors publish, and never wait for them.
"""
