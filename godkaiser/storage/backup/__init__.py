"""Backups: taken while the gateway runs, checked, and put back."""
