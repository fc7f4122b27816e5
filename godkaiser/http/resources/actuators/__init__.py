"""Actuators, commands and stops."""
