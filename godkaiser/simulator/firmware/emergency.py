"""Stop and clear (contract, section 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from godkaiser.protocol import budget, topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing
from godkaiser.simulator.firmware.actuators import Actuators
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes

CLEAR_LOCKOUT_S = 5.0
CLEAR_TAKES_S = 2.0
STOP_VERBS = frozenset(("stop_all", "emergency_stop"))
TOO_EARLY = "Emergency stop is less than 5 s old"


class Emergency:
    """`on_stop` makes the other parts drop their queues."""

    def __init__(
        self, core: Core, outcomes: Outcomes, actuators: Actuators, on_stop: Callable[[], None]
    ) -> None:
        self._core = core
        self._outcomes = outcomes
        self._actuators = actuators
        self._on_stop = on_stop
        self._stopped_at: float | None = None
        self._clearing: tuple[float, Intent] | None = None

    def broadcast(self, payload: bytes) -> None:
        """Section 11.2 with its table of defects."""
        body = parsing.parse(payload, budget.BROADCAST_BUDGET_BYTES)
        intent = self._outcomes.intent(body, "emergency")
        if body is None:
            self._unreadable(intent)
            return
        command, action, token = body.get("command"), body.get("action"), body.get("auth_token")
        if _is_critical(body):
            self.stop()
            self._mismatch(intent, "critical")
            return
        others = (action, body.get("reason"), body.get("issued_by"), body.get("timestamp"))
        verb = action if command is None else command
        if verb is None or any(text is not None and not isinstance(text, str) for text in others):
            self._mismatch(intent, "malformed")
        elif verb not in STOP_VERBS:
            self._mismatch(intent, "unsupported")
        elif self._admits("broadcast", token, intent):
            code = "BROADCAST_EMERGENCY_STOP_TRIGGERED"
            self._outcomes.tell("command", intent, "applied", code)
            self.stop()

    def device(self, payload: bytes) -> None:
        """Section 11.3."""
        limit = budget.PARSE_BUDGET_BYTES[Tail.ACTUATOR_EMERGENCY]
        body = parsing.parse(payload, limit)
        intent = self._outcomes.intent(body, "emergency")
        if body is None:
            self._unreadable(intent)
            return
        if not self._admits("esp", body.get("auth_token"), intent):
            self._error("unauthorized", "Invalid emergency token")
            return
        match body.get("command"):
            case "emergency_stop":
                self._acknowledge(intent)
                self._outcomes.tell("command", intent, "applied", "EMERGENCY_STOP_TRIGGERED")
                self.stop()
            case "clear_emergency":
                self.clear(intent)
            case _:
                self._outcomes.tell("command", intent, "rejected", "VALIDATION_FAIL")

    def stop(self) -> None:
        """Everything off and locked; the epochs restart (11.1)."""
        core = self._core
        self._stopped_at = core.now
        self._clearing, self._actuators.clearing = None, False
        core.safety_epoch += 1
        core.mode, core.active_epoch, core.completed_epoch = "ONLINE", 0, 0
        self._on_stop()
        for actuator in self._actuators.all:
            self._actuators.stop(actuator)
            self._actuators.alert(actuator.gpio, "emergency_stop")
            self._actuators.status(actuator)

    def clear(self, intent: Intent) -> bool:
        """Begin to clear; False if it is refused (11.5)."""
        core = self._core
        if self._stopped_at is not None and core.now - self._stopped_at < CLEAR_LOCKOUT_S:
            self._error("clear_failed", TOO_EARLY)
            self._actuators.alert(topics.NO_GPIO, "verification_failed", TOO_EARLY)
            self._outcomes.tell("command", intent, "failed", "EMERGENCY_CLEAR_REJECTED", TOO_EARLY)
            return False
        self._clearing, self._actuators.clearing = (core.now + CLEAR_TAKES_S, intent), True
        return True

    def tick(self) -> None:
        if self._clearing is not None and self._core.now >= self._clearing[0]:
            self._finish_clear(self._clearing[1])

    def _finish_clear(self, intent: Intent) -> None:
        core = self._core
        self._clearing, self._actuators.clearing = None, False
        self._stopped_at = None
        for actuator in self._actuators.all:
            actuator.stopped = False
        answer = {
            "status": "emergency_cleared",
            "timestamp": core.uptime_ms,
            "seq": core.next_seq(),
        }
        core.publish(Tail.EMERGENCY_RESPONSE, answer)
        self._outcomes.tell("command", intent, "applied", "EMERGENCY_CLEAR_APPLIED")
        confirm = {
            "ts": core.unix,
            "esp_id": core.device_id,
            "correlation_id": intent.correlation_id,
            "command": "clear_emergency",
            "state": "cleared",
            "seq": core.next_seq(),
        }
        core.publish(Tail.RECOVERY_CONFIRM, confirm)

    def _acknowledge(self, intent: Intent) -> None:
        """Section 11.4."""
        core = self._core
        ack = {
            "ts": core.unix,
            "esp_id": core.device_id,
            "correlation_id": intent.correlation_id,
            "command": "emergency_stop",
            "gpio_count": len(self._actuators.all),
            "outcome": "executed",
            "seq": core.next_seq(),
        }
        core.publish(Tail.EMERGENCY_ACK, ack)

    def _admits(self, kind: str, token: Any, intent: Intent) -> bool:
        """Section 11.6: exact comparison; without a token every message passes, except in
        production builds.
        """
        core = self._core
        wanted = core.memory.tokens.get(kind)
        if wanted is None:
            if not core.personality.needs_token:
                return True
            core.counts["emergency_rejected_no_token_total"] += 1
            core.error(3501, "No emergency token configured", 3)
            self._outcomes.tell("command", intent, "rejected", "NO_TOKEN_CONFIGURED")
            return False
        if token == wanted:
            return True
        core.error(3500, "Wrong emergency token", 3)
        self._outcomes.tell("command", intent, "rejected", "UNAUTHORIZED")
        return False

    def _unreadable(self, intent: Intent) -> None:
        self._core.error(3016, "Emergency payload invalid")
        self._outcomes.tell("command", intent, "failed", "EMERGENCY_PARSE_ERROR")

    def _mismatch(self, intent: Intent, kind: str) -> None:
        self._outcomes.tell("command", intent, "failed", "EMERGENCY_CONTRACT_MISMATCH", kind)

    def _error(self, error: str, message: str) -> None:
        body = {"error": error, "message": message, "seq": self._core.next_seq()}
        self._core.publish(Tail.EMERGENCY_ERROR, body)


def _is_critical(body: dict[str, Any]) -> bool:
    """Whether the device treats this defect as a stop, to be safe."""
    command, action, token = body.get("command"), body.get("action"), body.get("auth_token")
    if any(text is not None and not isinstance(text, str) for text in (command, token)):
        return True
    return isinstance(command, str) and isinstance(action, str) and command != action
