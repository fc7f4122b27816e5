"""The one writer of devices, sensors, actuators, interlocks and rules.

Start with `registrar.py`, which passes each request to one of the services beside it.
"""
