"""Backups: made while the gateway runs, verified, and restored."""
