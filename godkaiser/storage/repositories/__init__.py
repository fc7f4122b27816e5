"""The configuration as rows: one module for each kind of record."""
