"""Accounts, keys and logins."""
