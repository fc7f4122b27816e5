"""Ours against the floor, in one run. `python -m benchmarks [NAME ...] [--quick] [--json FILE]`."""
