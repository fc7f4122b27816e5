"""How the firmware takes in its configuration, and what it does while it has none or is alone."""
