"""Readings and their rollups as rows: stored, read, counted, deleted when they are old."""
