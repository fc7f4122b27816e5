"""One actor for each rule; its decisions are in `godkaiser.domain.rules`. Start with `rule.py`.

Others send it the messages of `messages.py`, and read the views that it publishes; every other module is private.
"""
