"""What may move an actuator: the safety actor and all that only it may use.

Start with `safety_actor.py`. Others send it the messages of `messages.py`, and read
the views that it publishes; the handles of the actuator actors never leave this package.
"""
