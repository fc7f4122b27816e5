"""Sensors, and what they measured."""
