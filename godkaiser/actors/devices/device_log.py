"""What a device told of itself beside readings and states: the last of each kind, how often, and what
of it the audit trail keeps.

Used by a device actor only; `shown` is frozen, so that any thread may read it.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import msgspec

from godkaiser.domain.devices.error_codes import meaning_of
from godkaiser.mqtt.connection import Inbound
from godkaiser.protocol import inbound
from godkaiser.protocol.topics import DeviceTopic, Tail
from godkaiser.storage.audit.trail import AuditEntry

ERRORS_KEPT = 20
OUTCOMES_KEPT = 20
SEEN_OUTCOMES = 64


class ReportedError(msgspec.Struct, frozen=True, kw_only=True):
    """An error event with its meaning."""

    at: float
    code: int
    severity: int | str
    category: str
    message: str
    meaning: str
    advice: str


class DeviceDiagnostics(msgspec.Struct, frozen=True, kw_only=True):
    """`last` has the newest message of each kind, by the tail of its topic, with its time of
    receipt.
    """

    counts: dict[str, int] = {}
    bad_payloads: dict[str, int] = {}
    last: dict[str, dict[str, Any]] = {}
    errors: tuple[ReportedError, ...] = ()
    outcomes: tuple[dict[str, Any], ...] = ()


KEPT = {
    Tail.ACTUATOR_RESPONSE: "actuator response",
    Tail.ACTUATOR_ALERT: "actuator alert",
    Tail.EMERGENCY_ERROR: "emergency error",
    Tail.ERROR: "device error",
    Tail.LIFECYCLE: "device lifecycle",
}
"""The kinds of messages that go into the audit trail, with their names."""


def audit_entry_of(
    topic: DeviceTopic, body: inbound.DeviceMessageBody, received: Inbound
) -> AuditEntry | None:
    """None: it is nothing for the audit trail."""
    what = KEPT.get(topic.tail)
    if what is None:
        return None
    gpio = "" if topic.gpio is None else f" GPIO {topic.gpio}"
    return AuditEntry(
        at=received.received_at,
        who=f"device:{topic.device_id}",
        what=what + gpio,
        correlation_id=getattr(body, "correlation_id", ""),
        details=msgspec.json.encode(body).decode(),
    )


class DeviceLog:
    def __init__(self, before: DeviceDiagnostics | None = None) -> None:
        """`before` is the value published by the incarnation before a crash."""
        known = before or DeviceDiagnostics()
        self._counts = Counter(known.counts)
        self._bad = Counter(known.bad_payloads)
        self._last = dict(known.last)
        self._errors = deque(known.errors, ERRORS_KEPT)
        self._outcomes = deque(known.outcomes, OUTCOMES_KEPT)
        self._seen: deque[tuple[str, str]] = deque(maxlen=SEEN_OUTCOMES)

    def count(self, tail: Tail) -> None:
        self._counts[tail.value] += 1

    def refuse(self, reason: str) -> None:
        """Count an unreadable payload, by reason."""
        self._bad[reason] += 1

    def keep(self, tail: Tail, body: inbound.DeviceMessageBody, at: float) -> None:
        """Keep the newest message of its kind."""
        fields = (
            dict(body.fields) if isinstance(body, inbound.Observed) else msgspec.to_builtins(body)
        )
        self._last[tail.value] = {"received_at": at, **fields}

    def keep_error(self, event: inbound.ErrorEvent, at: float) -> ReportedError:
        found = meaning_of(event.error_code)
        error = ReportedError(
            at=at,
            code=event.error_code,
            severity=event.severity,
            category=found.category,
            message=event.message[:300],
            meaning=found.meaning,
            advice=found.advice,
        )
        self._errors.append(error)
        return error

    def keep_outcome(self, outcome: inbound.IntentOutcome, at: float) -> bool:
        """Keep an outcome; returns whether it is new: devices repeat outcomes after a reboot
        (contract, 16.3).
        """
        identity = (outcome.intent_id, outcome.outcome)
        if outcome.intent_id and identity in self._seen:
            return False
        self._seen.append(identity)
        self._outcomes.append({"received_at": at, **msgspec.to_builtins(outcome)})
        return True

    def shown(self) -> DeviceDiagnostics:
        return DeviceDiagnostics(
            counts=dict(self._counts),
            bad_payloads=dict(self._bad),
            last=dict(self._last),
            errors=tuple(self._errors),
            outcomes=tuple(self._outcomes),
        )
