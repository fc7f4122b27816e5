"""Actors that control does without: what is told to people and programs, and the servers."""
