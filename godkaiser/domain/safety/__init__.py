"""Decisions about actuators: the verdict on a command, the life of an actuator, stops, interlocks, holds.

`safety.judge` gives the verdict; `actuator_machine.step` is the life of one actuator.
"""
