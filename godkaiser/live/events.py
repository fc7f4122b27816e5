"""Makes events from what the actors publish; pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.rules.messages import RuleView
from godkaiser.actors.safety.messages import ActuatorView, SafetyView
from godkaiser.domain.entities import Reading
from godkaiser.supervision import LifeEvent, LifeStep

TYPES = ("reading", "actuator", "device", "rule", "safety", "system")
"""Of several waiting readings of a sensor only the newest is sent. All other events are sent."""
NOTEWORTHY = frozenset(
    {LifeStep.CRASHED, LifeStep.RESTARTED, LifeStep.GAVE_UP, LifeStep.STUCK, LifeStep.STALLED}
)
TOLD = (Reading, ActuatorView, DeviceView, RuleView, SafetyView, LinkView)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`at` in unix seconds; `topic` has levels as in MQTT, such as `sensor/ESP_A00001/4/ds18b20`."""

    type: str
    topic: str
    at: float
    data: dict[str, Any]
    esp_id: str | None = None
    sensor_type: str | None = None


class NumberedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its number, which grows; `text` is the JSON, made once for all clients."""

    number: int
    event: Event
    text: bytes

    @property
    def is_value(self) -> bool:
        return self.event.type == "reading"


def event_of(value: object, before: object, now: float) -> Event | None:
    """The event for a published value; None if nothing relevant has changed."""
    if isinstance(value, Reading):
        return _reading(value)
    shown = _shown(value)
    if shown is None or (before is not None and _shown(before) == shown):
        return None
    match value:
        case ActuatorView(config=config):
            topic, esp_id = f"actuator/{config.esp_id}/{config.gpio}", config.esp_id
            return Event(type="actuator", topic=topic, at=now, data=shown, esp_id=esp_id)
        case DeviceView(record=record):
            topic, esp_id = f"device/{record.device_id}", record.device_id
            return Event(type="device", topic=topic, at=now, data=shown, esp_id=esp_id)
        case RuleView(rule_id=rule_id):
            return Event(type="rule", topic=f"rule/{rule_id}", at=now, data=shown)
        case SafetyView():
            return Event(type="safety", topic="safety", at=now, data=shown)
        case _:
            return Event(type="system", topic="system/broker", at=now, data=shown)


def event_of_life(event: LifeEvent) -> Event | None:
    """The event for an actor's crash, restart or worse."""
    if event.step not in NOTEWORTHY:
        return None
    data = {"path": event.path, "step": event.step.value, "detail": event.detail[:500]}
    return Event(type="system", topic="system/actors", at=event.at, data=data)


def is_told(key: Hashable, value: object) -> bool:
    """Whether a publication may become an event; cheap, because it runs in the actor's thread."""
    return type(value) in TOLD and (key == "view" or type(value) is Reading)


def _reading(reading: Reading) -> Event:
    key = reading.key
    return Event(
        type="reading",
        topic=f"sensor/{key.esp_id}/{key.gpio}/{key.sensor_type}",
        at=reading.at,
        data={
            "gpio": key.gpio,
            "address": key.address,
            "value": reading.value,
            "raw": reading.raw,
            "unit": reading.unit,
            "quality": reading.quality.value,
            "zone_id": reading.zone_id,
        },
        esp_id=key.esp_id,
        sensor_type=key.sensor_type,
    )


def _shown(value: object) -> dict[str, Any] | None:
    match value:
        case ActuatorView(config=config):
            return {
                "gpio": config.gpio,
                "name": config.name,
                "desired_value": value.desired_value,
                "reported_value": value.reported_value,
                "emergency": value.emergency,
                "owner": value.owner,
                "lease_until": value.lease_until,
                "held_by": value.held_by,
                "outcome": None if value.last_outcome is None else value.last_outcome.state,
            }
        case DeviceView(record=record):
            return {
                "online": value.online,
                "approval": record.approval.value,
                "zone_id": record.zone_id,
                "config_sync": value.config_sync,
                "config_error": value.config_error,
            }
        case RuleView(definition=definition):
            return {
                "rule_id": value.rule_id,
                "name": definition.name,
                "truth": value.truth,
                "fired_count": value.fired_count,
                "last_result": value.last_result,
                "suspended": value.suspended,
                "sequence": value.sequence,
                "refused": value.refused,
                "doubt": value.doubt,
            }
        case SafetyView():
            return {
                "state": value.state,
                "alarm": value.alarm,
                "automation_held": list(value.automation_held),
                "stops": [
                    {
                        "scope": stop.scope, "state": stop.state, "by": stop.by,
                        "reason": stop.reason, "unconfirmed": list(stop.unconfirmed),
                    }
                    for stop in value.stops
                ],
            }  # fmt: skip
        case LinkView():
            return {"connected": value.connected, "last_error": value.last_error}
        case _:
            return None
