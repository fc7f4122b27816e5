"""What a rule decides, from readings and time that are passed in. `rules.py` is what others use."""
