"""Extras: packages that not every installation has, since not every gateway needs them."""

from __future__ import annotations

import importlib.util

from godkaiser.errors.process import ExtraMissing

MODULES = {"demo": "amqtt", "docs": "swagger_ui", "postgresql": "psycopg2"}
"""The content of each extra in setup.cfg."""


def require(extra: str, for_what: str) -> None:
    """Raises ExtraMissing, with the remedy, when the packages of an extra are not installed."""
    module = MODULES[extra]
    if importlib.util.find_spec(module) is None:
        raise ExtraMissing(for_what=for_what, module=module, extra=extra)
