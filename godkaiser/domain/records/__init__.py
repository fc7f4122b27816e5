"""Decisions about what is stored: how long, in what order, when the spool takes over."""
