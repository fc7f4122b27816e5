"""The one shape of all errors: our envelope, with the members of RFC 9457 beside it."""

from __future__ import annotations

import math
from typing import Any

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:godkaiser:error:"


def problem(
    code: str, status: int, message: str, details: dict[str, Any], *, request_id: str, path: str
) -> dict[str, Any]:
    """`type` names the kind of error, `title` says it in words; `detail` is this one, at `instance`."""
    return {
        "success": False,
        "error": {
            "code": code,
            "message": message,
            "details": plain(details),
            "request_id": request_id,
        },
        "type": TYPE_PREFIX + code.lower().replace("_", "-"),
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": message,
        "instance": path,
    }


def plain(value: Any) -> Any:
    """Only what JSON has: a detail may be anything."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)
