"""The words of query parameters, and their check: a parameter that an endpoint does not list is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon
import msgspec

from godkaiser.errors.base import ValidationFailed
from godkaiser.http.json_guard import has_invisible


class Parameter(msgspec.Struct, frozen=True):
    """`schema` is a JSON Schema; the resource that reads the parameter checks it."""

    name: str
    schema: dict[str, Any]
    description: str


def text(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "string", "maxLength": 200}, description)


def word(name: str, description: str, *words: str) -> Parameter:
    return Parameter(name, {"type": "string", "enum": list(words)}, description)


def flag(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "boolean"}, description)


def count(most: int) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": most}
    return Parameter("limit", schema, f"Maximum number of entries, up to {most:,}.")


def page(most: int = 1000) -> tuple[Parameter, ...]:
    return (count(most), text("cursor", "`next` of the page before."))


def sorted_by(*fields: str) -> tuple[Parameter, ...]:
    schema = {"type": "string", "enum": [f"{sign}{name}" for name in fields for sign in ("", "-")]}
    return (*page(), Parameter("sort", schema, "The order; -FIELD is the reverse."))


def wait(most_s: float) -> Parameter:
    schema = {"type": "number", "minimum": 0, "maximum": most_s}
    return Parameter("wait", schema, f"Seconds to wait for the device's answer, up to {most_s:g}.")


DEVICE = text("esp_id", "Only of this device.")
GPIO = Parameter("gpio", {"type": "integer", "minimum": 0, "maximum": 255}, "Only of this pin.")
SENSOR_TYPE = text("sensor_type", "Only of this type.")
ADDRESS = text("address", "Which one, where several sensors share a pin.")
TIME = {"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}
START = Parameter("start", TIME, "From this time on: unix seconds or ISO 8601.")
END = Parameter("end", TIME, "Until this time, not included.")
DRY_RUN = flag("dry_run", "Tell what it would do, and do nothing.")
RESOLUTION = word("resolution", "How finely.", "auto", "raw", "1m", "1h")


def check_query(req: falcon.Request, known: Sequence[Parameter]) -> None:
    """Raises ValidationFailed: a misspelt filter must not answer with everything."""
    if not req.params:
        return
    names = [parameter.name for parameter in known]
    unknown = [name for name in req.params if name not in names]
    for name, value in req.params.items():
        if any(map(has_invisible, value if isinstance(value, list) else [value])):
            reason = f"Query parameter {name[:40]!a} holds a control character; take it out."
            raise ValidationFailed(reason=reason)
    if unknown:
        there = f"there are {', '.join(names)}" if names else "there is none here"
        raise ValidationFailed(reason=f"Query parameter '{unknown[0][:40]}' is not known; {there}.")
