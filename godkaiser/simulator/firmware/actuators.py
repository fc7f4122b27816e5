"""Actuators: commands, leases, protection, and their messages (contract, section 10)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.lanes import Lane
from godkaiser.simulator.firmware.memory import Actuator
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes

STATUS_S = 30.0
STARTS_AN_HOUR, HOUR_S = 60, 3600.0
COOL_DOWN_S = 30.0
QUEUED_COMMANDS = 20
"""The contract does not give the depth of this queue; this is the depth for sensor commands."""
_REPORTING = frozenset((states.OPERATIONAL, states.ZONE_CONFIGURED))
VALVE_OPEN, VALVE_HALF, RELAY_ON = 0.66, 0.33, 0.5


class Actuators:
    def __init__(self, core: Core, outcomes: Outcomes) -> None:
        self._core = core
        self._outcomes = outcomes
        self.lane = Lane(core, outcomes, QUEUED_COMMANDS)
        self.clearing = False
        self._next_status = core.now + STATUS_S

    @property
    def all(self) -> list[Actuator]:
        return list(self._core.memory.actuators.values())

    # ---- commands

    def command(self, gpio: int, payload: bytes) -> None:
        """Handle one command: admit, queue, execute (10.2)."""
        core = self._core
        message = payload[: budget.COMMAND_TEXT_BYTES].decode(errors="replace")
        intent = self._outcomes.intent(parsing.parse(message.encode(), 1 << 20), "act")
        blocked = states.blocks_command(core.state, gate_open=core.outbox.gate_open)
        if blocked:
            self._outcomes.tell("command", intent, "rejected", blocked)
            reason = f"Rejected before execution (reason_code={blocked})"
            self._respond(gpio, message, reason, correlation_id=intent.correlation_id)
            return
        if self.lane.is_full:
            self._outcomes.tell("command", intent, "rejected", "QUEUE_FULL")
            return
        self._outcomes.tell("command", intent, "accepted", "COMMAND_ACCEPTED")
        self.lane.add("command", intent, lambda: self._execute(gpio, message, intent))
        self.lane.work()

    def _execute(self, gpio: int, message: str, intent: Intent) -> None:
        failure = self._switch(gpio, message)
        self._respond(
            gpio, message, failure or "Command executed", success=not failure,
            correlation_id=parsing.scan(message, "correlation_id"),
        )  # fmt: skip
        if failure:
            self._outcomes.tell("command", intent, "failed", "EXECUTE_FAIL", failure)
        else:
            self._outcomes.tell("command", intent, "applied", "NONE", "Command executed")

    def _switch(self, gpio: int, message: str) -> str:
        """Execute the command; returns the reason for a refusal, or ""."""
        core = self._core
        actuator = core.memory.actuators.get(gpio)
        if actuator is None:
            core.error(1052, f"Actuator not found on GPIO {gpio}")
            return f"No actuator on GPIO {gpio}"
        if actuator.stopped:
            self.alert(gpio, "emergency_stop")
            self.status(actuator)
            return "Actuator is emergency stopped"
        verb = (parsing.scan(message, "command") or "UNKNOWN").upper()
        level = commanded_level(actuator, verb, parsing.scanned_number(message, "value"))
        if level is None:
            return "Value out of range" if verb == "PWM" else "Unknown command"
        if level > 0 and actuator.level == 0 and actuator.kind in {"pump", "relay"}:
            refused = self._pump_refuses(actuator)
            if refused:
                return refused
            actuator.starts.append(core.now)
        actuator.off_at = None
        duration_s = int(parsing.scanned_number(message, "duration"))
        if verb == "ON" and duration_s > 0:
            actuator.off_at = core.now + duration_s
        actuator.overridden = core.mode == "OFFLINE_ACTIVE"
        self.set_level(actuator, level, parsing.scan(message, "issued_by") or "system:unknown")
        self.status(actuator)
        return ""

    def _pump_refuses(self, actuator: Actuator) -> str:
        now = self._core.now
        if actuator.ran_s >= actuator.max_runtime_s and actuator.off_since is not None:
            if now - actuator.off_since < COOL_DOWN_S:
                return "Cool-down after the maximum runtime"
            actuator.ran_s = 0.0
        if sum(now - at < HOUR_S for at in actuator.starts) >= STARTS_AN_HOUR:
            return "Too many activations within an hour"
        return ""

    def set_level(self, actuator: Actuator, level: float, source: str) -> None:
        """`source` "" keeps the last source."""
        now = self._core.now
        if level > 0 and actuator.level == 0:
            actuator.on_since = now
        elif level == 0:
            if actuator.on_since is not None:
                actuator.ran_s += now - actuator.on_since
                actuator.off_since = now
            actuator.on_since = actuator.off_at = None
        actuator.level = level
        actuator.source = source or actuator.source

    def stop(self, actuator: Actuator) -> None:
        self.set_level(actuator, 0.0, "")
        actuator.stopped = True

    def fall_back(self, actuator: Actuator) -> None:
        self.set_level(actuator, actuator.default_level, "")
        actuator.off_at = None

    # ---- time

    def tick(self) -> None:
        core = self._core
        self.lane.work()
        for actuator in self.all:
            if actuator.off_at is not None and core.now >= actuator.off_at:
                self.set_level(actuator, 0.0, "firmware:auto_duration")
                self.status(actuator)
            if actuator.on_since is not None and (
                core.now - actuator.on_since > actuator.max_runtime_s
            ):
                self.stop(actuator)
                self.alert(actuator.gpio, "runtime_protection", "Actuator exceeded max runtime")
                self.alert(actuator.gpio, "emergency_stop")
                self.status(actuator)
        if core.now >= self._next_status and core.outbox.connected:
            self._next_status = core.now + STATUS_S
            if core.state in _REPORTING:
                self.tell_all()

    def tell_all(self) -> None:
        for actuator in self.all:
            self.status(actuator)

    # ---- messages

    def status(self, actuator: Actuator) -> None:
        """Section 10.3."""
        core = self._core
        runtime_s = 0.0 if actuator.on_since is None else core.now - actuator.on_since
        emergency = "clearing" if self.clearing else "active"
        body = {
            "esp_id": core.device_id,
            "seq": core.next_seq(),
            "zone_id": core.memory.zone_id,
            "subzone_id": actuator.subzone_id,
            "ts": core.unix,
            "gpio": actuator.gpio,
            "type": actuator.kind,
            "state": actuator.level > 0,
            "pwm": actuator.pwm,
            "runtime_ms": int(runtime_s * 1000),
            "emergency": emergency if actuator.stopped else "normal",
        }
        if core.personality.correlates:
            body["command_source"] = actuator.source
        core.publish(Tail.ACTUATOR_STATUS, body, actuator.gpio)

    def alert(self, gpio: int, kind: str, message: str = "") -> None:
        """Section 10.5; GPIO 255 is the whole device."""
        core = self._core
        body = {
            "esp_id": core.device_id,
            "zone_id": core.memory.zone_id,
            "seq": core.next_seq(),
            "ts": core.unix,
            "gpio": gpio,
            "alert_type": kind,
            "message": message or kind.replace("_", " "),
        }
        core.publish(Tail.ACTUATOR_ALERT, body, gpio)

    def _respond(
        self, gpio: int, message: str, words: str, *, success: bool = False,
        correlation_id: str | None,
    ) -> None:  # fmt: skip
        """Section 10.4."""
        core = self._core
        body: dict[str, Any] = {
            "esp_id": core.device_id,
            "zone_id": core.memory.zone_id,
            "seq": core.next_seq(),
            "ts": core.unix,
            "gpio": gpio,
            "command": parsing.scan(message, "command") or "UNKNOWN",
            "value": round(parsing.scanned_number(message, "value"), 3),
            "duration": int(parsing.scanned_number(message, "duration")),
            "success": success,
            "message": words,
        }
        if correlation_id is not None:
            body["correlation_id"] = correlation_id[: parsing.MAX_ID]
        body["issued_by"] = parsing.scan(message, "issued_by") or "system:unknown"
        core.publish(Tail.ACTUATOR_RESPONSE, body, gpio)


def commanded_level(actuator: Actuator, verb: str, value: float) -> float | None:
    """The level of a verb for this kind of actuator (10.1); None if it is refused."""
    match verb:
        case "ON":
            return 1.0
        case "OFF":
            return 0.0
        case "TOGGLE":
            return 0.0 if actuator.level > 0 else 1.0
        case "PWM":
            return _commanded_fraction(actuator.kind, value)
        case _:
            return None


def _commanded_fraction(kind: str, value: float) -> float | None:
    if kind == "pwm":
        return min(max(value, 0.0), 1.0)
    if kind == "valve":
        return 1.0 if value >= VALVE_OPEN else (0.5 if value >= VALVE_HALF else 0.0)
    if not 0.0 <= value <= 1.0:
        return None
    return 1.0 if value >= RELAY_ON else 0.0
