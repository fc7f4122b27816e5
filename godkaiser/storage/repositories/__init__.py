"""What is configured, as rows: one module for each kind of record."""
