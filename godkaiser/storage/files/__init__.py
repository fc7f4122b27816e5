"""State that must survive a power cut and may not wait for a database: small checked files."""
