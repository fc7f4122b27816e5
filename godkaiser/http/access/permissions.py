"""Roles, and the areas that an API key can be confined to. Each endpoint's record names its role."""

from __future__ import annotations

from enum import IntEnum

API = "/api/v1"


class Role(IntEnum):
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()


ROLES = {role.word: role for role in Role}

AREAS = (
    "actuators", "audit", "auth", "debug", "docs", "esp", "health", "logic", "metrics", "openapi.json",
    "safety", "sensors", "system", "users", "version", "webhooks", "zones",
)  # fmt: skip
"""The first words of the paths: what the scope of an API key may name."""
