"""Peewee models, migrations and repositories, the same on SQLite and PostgreSQL."""
