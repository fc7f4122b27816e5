"""The audit trail: a chain of hashes, and its export in a sealed file."""
