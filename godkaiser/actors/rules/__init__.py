"""One actor for each rule; what it decides is in `godkaiser.domain.rules`. Start with `rule.py`.

Others send it the messages of `messages.py`, and read the views that it publishes; every other module is private.
"""
