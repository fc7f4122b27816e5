"""Decisions about stored data: retention, order, when the spool takes over."""
