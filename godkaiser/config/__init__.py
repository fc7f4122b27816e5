"""What an administrator writes: the configuration file, and what `devices.d` and `rules.d` declare.

Start with `settings.py`.
"""
