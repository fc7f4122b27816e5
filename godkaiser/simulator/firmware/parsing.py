"""How the device reads JSON: fixed parser memory, strict integers, and no parser at all for the
actuator command (contract, sections 5.5, 5.6 and 10.1).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from godkaiser.protocol import budget

LARGEST_INT = 2_147_483_647
LARGEST_UINT = 4_294_967_295
MAX_ID = 63
_NUMBER = re.compile(r"\s*[-+]?\d*\.?\d*(?:[eE][-+]?\d+)?")


def parse(payload: bytes, limit: int) -> dict[str, Any] | None:
    """The JSON object in `payload`; None if it is not an object or costs more than `limit` bytes to
    parse.
    """
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or budget.parse_cost(body) > limit:
        return None
    return body


def integer(value: Any, default: int = 0) -> int:
    """Reads like "integer with default" code: floats, texts and more than 31 bits give the default."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INT:
        return value
    return default


def unsigned(value: Any) -> int | None:
    """A JSON integer that fits 32 bits, or None."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_UINT:
        return value
    return None


def lenient_integer(value: Any) -> int | None:
    """Reads like the configuration code: 5.0 is 5, "5" is a type error (None)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value)


def lenient_bool(value: Any, *, default: bool) -> bool:
    """true, 1, "true" and "1" are true; other values except false and 0 give the default."""
    if value is None:
        return default
    if isinstance(value, str):
        return value in {"true", "1"}
    return bool(value) if value in (0, 1) else default


def text(value: Any, default: str = "") -> str:
    return value if isinstance(value, str) else default


def text_or_null(value: Any) -> str:
    """A missing or null value becomes the text `null`, as on the hardware."""
    return value if isinstance(value, str) else "null"


def identifier(body: dict[str, Any], name: str) -> str:
    """An id from the top level or from a nested `data`, cut to 63 characters (section 5.4)."""
    nested = body.get("data")
    found = text(body.get(name))
    if not found and isinstance(nested, dict):
        found = text(nested.get(name))
    return found[:MAX_ID]


def scan(message: str, key: str) -> str | None:
    """The text after the first `"key":`, anywhere: the device searches and does not parse."""
    _, found, rest = message.partition(f'"{key}":')
    if not found:
        return None
    rest = rest.lstrip(" \t")
    if rest.startswith('"'):
        return rest[1:].partition('"')[0]
    return re.split(r"[,}\s]", rest, maxsplit=1)[0]


def scanned_number(message: str, key: str) -> float:
    """Reads like Arduino's String.toFloat: the leading part that is a number, or 0.0."""
    found = _NUMBER.match(scan(message, key) or "")
    try:
        number = float(found.group()) if found is not None else 0.0
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0
