"""The query parameters of each endpoint: what is not here is refused, and what is here is in the docs."""

from __future__ import annotations

from typing import Any

import falcon
import msgspec

from godkaiser.errors.base import ValidationFailed
from godkaiser.http.json_guard import has_invisible


class Parameter(msgspec.Struct, frozen=True):
    """`schema` is a JSON Schema; what reads the parameter checks it."""

    name: str
    schema: dict[str, Any]
    description: str


def _text(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "string", "maxLength": 200}, description)


def _word(name: str, description: str, *words: str) -> Parameter:
    return Parameter(name, {"type": "string", "enum": list(words)}, description)


def _page(most: int = 1000) -> tuple[Parameter, ...]:
    return (_count(most), _text("cursor", "the next of the answer before"))


def _sorted(*fields: str) -> tuple[Parameter, ...]:
    return (*_page(), _text("sort", f"by {', '.join(fields)}; -FIELD for the reverse"))


def _flag(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "boolean"}, description)


def _count(most: int) -> Parameter:
    return Parameter("limit", {"type": "integer", "minimum": 1, "maximum": most}, "at most so many")


DEVICE = _text("esp_id", "only of this device")
GPIO = Parameter("gpio", {"type": "integer", "minimum": 0, "maximum": 255}, "only of this pin")
ADDRESS = _text("address", "where several sensors share a pin")
TIME = {"anyOf": [{"type": "number"}, {"type": "string", "format": "date-time"}]}
START = Parameter("start", TIME, "from this time on: unix seconds or ISO 8601")
END = Parameter("end", TIME, "until this time, excluded")
DRY_RUN = Parameter("dry_run", {"type": "boolean"}, "say what it would do, and do nothing")
WAIT = Parameter(
    "wait", {"type": "number", "minimum": 0}, "seconds to wait for the device's answer"
)
RESOLUTION = _text("resolution", "auto, raw, 1m or 1h")

QUERIES: dict[tuple[str, str], tuple[Parameter, ...]] = {
    ("GET", "/esp/devices"): (
        _text("status", "only in this state"), _text("zone_id", "only of this zone"),
        _flag("online", "only those that are, or are not"),
        *_sorted("device_id", "name", "zone_id", "last_seen", "registered_at", "health"),
    ),
    ("GET", "/logic/rules"): (
        _flag("enabled", "only those that are, or are not"), *_sorted("id", "name", "priority"),
    ),
    ("GET", "/webhooks"): _sorted("id", "name"),
    ("GET", "/users"): _sorted("username", "role", "created_at"),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}"): (ADDRESS,),
    ("POST", "/esp/devices/{device_id}/commands"): (WAIT,),
    ("POST", "/esp/devices/{device_id}/onewire/scan"): (WAIT,),
    ("POST", "/sensors/{esp_id}/{gpio}/measure"): (WAIT,),
    ("GET", "/sensors"): (
        DEVICE, _text("sensor_type", "only of this type"), *_sorted("esp_id", "gpio", "sensor_type", "name"),
    ),
    ("GET", "/sensors/data"): (
        DEVICE, GPIO, _text("sensor_type", "only of this type"), START, END, *_page(10_000),
    ),
    ("DELETE", "/sensors/{esp_id}/{gpio}/{sensor_type}"): (ADDRESS,),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/latest"): (ADDRESS,),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/readings"): (
        ADDRESS, START, END, RESOLUTION, _count(10_000),
    ),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/statistics"): (ADDRESS, START, END, RESOLUTION),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/export"): (
        ADDRESS, START, END, RESOLUTION, _word("format", "of the answer", "csv", "ndjson"),
    ),
    ("GET", "/actuators"): (
        DEVICE, *_sorted("esp_id", "gpio", "name", "actuator_type", "owner"),
    ),
    ("GET", "/actuators/commands"): (DEVICE, GPIO, _text("state", "only that ended so"), *_page()),
    ("POST", "/actuators/command"): (WAIT,),
    ("POST", "/actuators/{esp_id}/{gpio}/command"): (WAIT,),
    ("GET", "/actuators/{esp_id}/{gpio}/explain"): (
        _word("command", "that would be given", "ON", "OFF", "PWM", "TOGGLE"),
        Parameter("value", {"type": "number"}, "0.0 to 1.0, of PWM"),
        Parameter("duration", {"type": "number"}, "seconds"),
    ),
    ("POST", "/actuators/emergency_stop"): (DRY_RUN,),
    ("POST", "/actuators/clear_emergency"): (DRY_RUN,),
    ("POST", "/actuators/resume"): (DRY_RUN,),
    ("GET", "/logic/explain"): (
        _text("actuator", "ESP:GPIO"), Parameter("at", TIME, "up to this time"), _count(100),
    ),
    ("GET", "/logic/rules/{rule_id}/history"): (
        Parameter("before", TIME, "older than this"), _count(1000),
    ),
    ("GET", "/audit/log"): (
        START, END, _text("who", "only of this one, as it is shown"), _text("result", "only ok, refused, ..."),
        _text("source", "only from this address"), _text("what", "only what holds this text"),
        _text("correlation_id", "only of this request or command"),
        *_page(),
    ),
    ("GET", "/audit/statistics"): (START, END),
    ("GET", "/system/events"): (_count(1000),),
    ("GET", "/system/dead-letters"): (_count(1000),),
}  # fmt: skip
for _method, _path in (
    ("GET", "calibration"), ("POST", "calibration"), ("POST", "calibration/undo"),
    ("DELETE", "calibration/{session_id}"), ("POST", "calibration/{session_id}/points"),
    ("GET", "recalculation"), ("POST", "recalculation"), ("DELETE", "recalculation"),
):  # fmt: skip
    QUERIES[_method, f"/sensors/{{esp_id}}/{{gpio}}/{{sensor_type}}/{_path}"] = (ADDRESS,)
QUERIES[
    "POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/apply"
] = (ADDRESS, DRY_RUN)  # fmt: skip


def check_query(req: falcon.Request, template: str) -> None:
    """Raises ValidationFailed: a misspelt filter must not answer with everything."""
    if not req.params:
        return
    known = [parameter.name for parameter in QUERIES.get((req.method, template), ())]
    unknown = [name for name in req.params if name not in known]
    for name, value in req.params.items():
        if any(map(has_invisible, value if isinstance(value, list) else [value])):
            reason = f"Query parameter {name[:40]!a} holds a control character; take it out."
            raise ValidationFailed(reason=reason)
    if unknown:
        there = f"there are {', '.join(known)}" if known else "there is none here"
        raise ValidationFailed(reason=f"Query parameter '{unknown[0][:40]}' is not known; {there}.")
