"""Silence for thousands of announced crashes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged within."""
    before, disabled = structlog.get_config(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(disabled)


def _drop(_logger: Any, _name: str, _event: Any) -> Any:
    raise structlog.DropEvent
