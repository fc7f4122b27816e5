"""Readings and their rollups as rows: writing, reading, counting, deleting old ones."""
