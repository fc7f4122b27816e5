"""Peewee models of the tables in `migrations.py`. Unbound: a query is run through a `Database`.

Entities with many fields are stored as JSON (`body`), with columns for the searched fields.
"""

from __future__ import annotations

import peewee


class User(peewee.Model):
    id = peewee.AutoField()
    username = peewee.TextField(unique=True)
    password_hash = peewee.TextField()
    role = peewee.TextField()
    disabled = peewee.BooleanField()
    created_at = peewee.DoubleField()

    class Meta:
        table_name = "users"


class RefreshFamily(peewee.Model):
    """All refresh tokens of one login; only the newest may be used."""

    family = peewee.TextField(primary_key=True)
    username = peewee.TextField()
    current_jti = peewee.TextField()
    revoked = peewee.BooleanField()
    expires_at = peewee.DoubleField()

    class Meta:
        table_name = "refresh_families"


class ApiKey(peewee.Model):
    """`digest` of the secret; `areas` are the first words of paths, separated by commas, "" is all."""

    id = peewee.AutoField()
    name = peewee.TextField()
    digest = peewee.TextField(unique=True)
    role = peewee.TextField()
    areas = peewee.TextField()
    created_by = peewee.TextField()
    created_at = peewee.DoubleField()
    expires_at = peewee.DoubleField()
    last_used_at = peewee.DoubleField(null=True)

    class Meta:
        table_name = "api_keys"


class Device(peewee.Model):
    device_id = peewee.TextField(primary_key=True)
    body = peewee.TextField()

    class Meta:
        table_name = "devices"


class Sensor(peewee.Model):
    esp_id = peewee.TextField()
    gpio = peewee.IntegerField()
    sensor_type = peewee.TextField()
    address = peewee.TextField()
    body = peewee.TextField()

    class Meta:
        table_name = "sensors"
        primary_key = peewee.CompositeKey("esp_id", "gpio", "sensor_type", "address")


class Actuator(peewee.Model):
    esp_id = peewee.TextField()
    gpio = peewee.IntegerField()
    body = peewee.TextField()

    class Meta:
        table_name = "actuators"
        primary_key = peewee.CompositeKey("esp_id", "gpio")


class Rule(peewee.Model):
    id = peewee.AutoField()
    name = peewee.TextField()
    body = peewee.TextField()
    version = peewee.IntegerField()
    updated_by = peewee.TextField()
    updated_at = peewee.DoubleField()
    declared = peewee.TextField(default="")

    class Meta:
        table_name = "rules"


class RuleMemoryRow(peewee.Model):
    rule_id = peewee.BigIntegerField(primary_key=True)
    body = peewee.TextField()

    class Meta:
        table_name = "rule_memory"


class CommandRow(peewee.Model):
    correlation_id = peewee.TextField(primary_key=True)
    esp_id = peewee.TextField()
    gpio = peewee.IntegerField()
    verb = peewee.TextField()
    value = peewee.DoubleField(null=True)
    duration_s = peewee.DoubleField()
    issuer = peewee.TextField()
    requested_at = peewee.DoubleField()
    state = peewee.TextField()
    message = peewee.TextField()
    verdict = peewee.TextField()
    ended_at = peewee.DoubleField(null=True)

    class Meta:
        table_name = "command_history"


class ActuatorMemory(peewee.Model):
    """The stored state of an actuator (`domain/safety/actuator_memory.py`)."""

    esp_id = peewee.TextField()
    gpio = peewee.IntegerField()
    body = peewee.TextField()

    class Meta:
        table_name = "actuator_memory"
        primary_key = peewee.CompositeKey("esp_id", "gpio")


class SafetyMirror(peewee.Model):
    """A copy of the latch for readers of the database; the latch itself is a file."""

    id = peewee.IntegerField(primary_key=True)
    body = peewee.TextField()
    at = peewee.DoubleField()

    class Meta:
        table_name = "safety_state"
