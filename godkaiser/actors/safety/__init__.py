"""What may move an actuator: the safety actor and all that only it may use.

Start with `safety_actor.py`. Others send it the messages of `messages.py`, and read the views that it
publishes; every other module is private, and the handles of the actuator actors never leave this package.
"""
