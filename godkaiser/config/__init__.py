"""The files of an administrator: the configuration file, and the declarations in `devices.d` and
`rules.d`.

Start with `settings.py`.
"""
