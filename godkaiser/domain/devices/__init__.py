"""What a device is and may carry: pins, configuration, placement, commands, error codes."""
