"""How the firmware accepts its configuration, and what it does without one or while it is offline."""
