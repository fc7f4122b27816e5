"""Decisions about devices: pins, configuration, placement, commands, error codes."""
