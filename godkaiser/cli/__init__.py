"""The command line. Start with `main.py`; each group of commands has a module of its own."""
