"""Pushes a device's desired configuration: section by section, each one confirmed.

The device accepts one push at a time, so the next section is sent when the last one is answered. An
unanswered section is sent again a few times; then the push counts as failed until the device
returns.
"""

from __future__ import annotations

import uuid

from godkaiser.domain.clock_belief import is_believable
from godkaiser.domain.devices import device_config
from godkaiser.protocol.inbound import ConfigResponse
from godkaiser.protocol.outbound import ConfigPart

ANSWER_TIMEOUT_S = 20.0
ATTEMPTS = 4
RESPONSE_TYPE = {"sensors": "sensor", "actuators": "actuator"}
STALE_STEP_S = 1
GENERATION_LIMIT = 2_147_483_647
NO_FENCE = 0
"""Used while our clock is not plausible: with a fence from it, the device would refuse every push
as stale (12.4).
"""


class ConfigPush:
    """`sync` is unknown, pending, in_sync or failed; `error` is the device's own message."""

    def __init__(self) -> None:
        self.sync = "unknown"
        self.error = ""
        self._parts: list[device_config.Part] = []
        self._correlation_id = ""
        self._attempt = 0
        self._generation = 0

    def begin(self, wanted: device_config.Wanted, reported_sensors: int | None) -> None:
        """Start over with this configuration."""
        self._parts = device_config.parts(wanted, reported_sensors)
        self._attempt = 0
        self._correlation_id = ""
        self.error = ""
        self.sync = "pending" if self._parts else "in_sync"

    @property
    def is_busy(self) -> bool:
        return bool(self._parts)

    def next_part(self, now: float) -> ConfigPart | None:
        """The message to send now; None if there is nothing (more) to send."""
        if not self._parts:
            return None
        self._attempt += 1
        if self._attempt > ATTEMPTS:
            self._fail(f"no answer after {ATTEMPTS} attempts")
            return None
        part = self._parts[0]
        # Each attempt has its own id, because the device remembers finished ids.
        self._correlation_id = str(uuid.uuid4())
        generation = NO_FENCE
        if is_believable(now):
            generation = min(max(self._generation + 1, int(now)), GENERATION_LIMIT)
            self._generation = generation
        return ConfigPart(
            self._correlation_id,
            generation,
            sensors=part.entries if part.scope == "sensors" else None,
            actuators=part.entries if part.scope == "actuators" else None,
            offline_rules=part.entries
            if part.scope == "offline_rules"
            else ([] if part.clears_rules else None),
        )

    def answered(self, response: ConfigResponse) -> bool:
        """Handle an answer; True if the next section may be sent."""
        # Old firmware sends no id, and a long list of failures leaves no space for it (12.6). Only
        # one push is under way at a time, so the answer belongs to it.
        if not self._parts or response.correlation_id not in {"", self._correlation_id}:
            return False
        scope = self._parts[0].scope
        if response.status == "success" and response.type == RESPONSE_TYPE.get(scope):
            self._done()
            return True
        if response.error_code == "STALE_SCOPE" and self._attempt < ATTEMPTS:
            # The device has seen a higher number, from another gateway's clock or a restart within
            # the second. Exceed it, in growing steps.
            self._generation += STALE_STEP_S * 60**self._attempt
            return True
        if response.error_code == "QUEUE_FULL":
            return False
        self._fail(_words(response))
        return False

    def persisted(self, intent_id: str) -> bool:
        """The outcome says that the section is stored, even if the answer was lost (12.7)."""
        if not self._parts or intent_id != self._correlation_id:
            return False
        self._done()
        return True

    def failed_outcome(self, intent_id: str, code: str, reason: str) -> bool:
        """Handle a failed outcome; offline rules are answered only by an outcome. Returns whether
        it was about them.
        """
        is_ours = bool(self._parts) and intent_id == self._correlation_id
        if not is_ours or self._parts[0].scope != "offline_rules":
            return False
        self._fail(f"offline rules: {code} {reason}".strip())
        return True

    def _done(self) -> None:
        self._parts.pop(0)
        self._attempt = 0
        if not self._parts:
            self.sync = "in_sync"

    def give_up(self, reason: str) -> None:
        """The push cannot be sent at all."""
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._parts = []
        self.sync = "failed"
        self.error = reason


def _words(response: ConfigResponse) -> str:
    details = [str(failure.get("detail", "")) for failure in response.failures]
    if response.failed_item:
        details.append(f"GPIO {response.failed_item.get('gpio')}")
    return f"{response.error_code}: {response.message} {'; '.join(filter(None, details))}".strip()
