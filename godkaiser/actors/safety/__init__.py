"""The safety actor, and the parts that only it may use: the only way to an actuator.

Start with `safety_actor.py`. Others send it the messages of `messages.py`, and read the views that it
publishes; every other module is private, and the handles of the actuator actors never leave this package.
"""
