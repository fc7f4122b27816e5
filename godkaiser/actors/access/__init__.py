"""The writers of all that lets people and programs in.

Three actors, as what they write fails apart: a database that hangs must hold up neither the note of a command
(`idempotency.py`) nor a new signing key (`signing_keys.py`); both are files. Requests are checked against what
these actors publish, and never wait for them.
"""
