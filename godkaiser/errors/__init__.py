"""Every error that a person can meet: one class each, with a stable code and an HTTP status.

The class says what went wrong, the message where, and the template's last sentence what to do.
Errors are raised where the cause is known; the HTTP layer only translates them.
"""
