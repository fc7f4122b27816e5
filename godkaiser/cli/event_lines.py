"""What happens, as `logs --follow` shows it to a person: a line for each event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def line_of(event: dict[str, Any]) -> str:
    """Of an event of the live socket; of a type that is not known, its data as they are."""
    words = _WORDS.get(event["type"], _plain)
    return f"{event['topic']}: {words(event['data'])}"


def _safety(data: dict[str, Any]) -> str:
    parts = [data["state"]]
    for stop in data["stops"]:
        waits = (
            f", not confirmed by {', '.join(stop['unconfirmed'])}" if stop["unconfirmed"] else ""
        )
        parts.append(
            f"stop of {stop['scope']} ({stop['state']}) by {stop['by']}: {stop['reason']}{waits}"
        )
    if data["automation_held"]:
        parts.append(f"rules are held until resume: {', '.join(data['automation_held'])}")
    if data["alarm"]:
        parts.append(f"alarm: {data['alarm']}")
    return "; ".join(parts)


def _device(data: dict[str, Any]) -> str:
    parts = ["online" if data["online"] else "offline", data["approval"]]
    if data["zone_id"]:
        parts.append(f"zone {data['zone_id']}")
    parts.append(f"configuration {data['config_sync']} {data['config_error']}".rstrip())
    return ", ".join(parts)


def _actuator(data: dict[str, Any]) -> str:
    name = f"{data['name']}: " if data["name"] else ""
    text = (
        f"{name}wanted {_level(data['desired_value'])}, reported {_level(data['reported_value'])}"
    )
    if data["owner"]:
        text += f", by {data['owner']}"
    if data["outcome"]:
        text += f", {data['outcome']}"
    if data["emergency"] and data["emergency"] != "normal":
        text += f", emergency {data['emergency']}"
    return text


def _level(value: float | None) -> str:
    if value is None:
        return "unknown"
    return "off" if value == 0.0 else "on" if value == 1.0 else f"{value:.0%}"


def _rule(data: dict[str, Any]) -> str:
    parts = [f"{data['name']}: {_TRUTH.get(data['truth'], data['truth'])}",
             f"fired {data['fired_count']} times"]  # fmt: skip
    parts += [data[key] for key in ("last_result", "sequence") if data[key]]
    parts += [f"{key}: {data[key]}" for key in ("suspended", "doubt") if data[key]]
    return ", ".join(parts)


_TRUTH = {"true": "holds", "false": "does not hold", "unknown": "not known whether it holds"}


def _reading(data: dict[str, Any]) -> str:
    value = "none" if data["value"] is None else f"{data['value']:g} {data['unit']}".rstrip()
    return f"{value}, {data['quality']}"


def _plain(data: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items() if value not in (None, "", []))


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "safety": _safety, "device": _device, "actuator": _actuator, "rule": _rule, "reading": _reading,
}  # fmt: skip
