"""Handles configuration pushes: fence, scopes, answers (contract, section 12)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.actuators import Actuators
from godkaiser.simulator.firmware.config import entries as config_entries
from godkaiser.simulator.firmware.config.offline import MOST_RULES
from godkaiser.simulator.firmware.config.readiness import Readiness
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.lanes import Lane
from godkaiser.simulator.firmware.outbox import LARGEST_PAYLOAD, encode
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes

SCOPES = ("sensors", "actuators", "offline_rules")
STALE = {
    "sensors": "STALE_SENSOR_SCOPE",
    "actuators": "STALE_ACTUATOR_SCOPE",
    "offline_rules": "STALE_OFFLINE_SCOPE",
}
GLOBAL = "global"
RING = 3
MOST_FAILURES = 10
QUEUED_PUSHES = 1


class ConfigIntake:
    def __init__(
        self, core: Core, outcomes: Outcomes, actuators: Actuators, readiness: Readiness
    ) -> None:
        self._core = core
        self._outcomes = outcomes
        self._actuators = actuators
        self._readiness = readiness
        self.lane = Lane(core, outcomes, QUEUED_PUSHES)
        self._replay = list(core.memory.unfinished_configs)

    def push(self, payload: bytes) -> None:
        """Handle one push."""
        core = self._core
        if len(payload) > budget.CONFIG_TEXT_BYTES:
            intent = self._outcomes.intent(None, "cfg")
            self._refuse(intent, "PAYLOAD_TOO_LARGE")
            return
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[Tail.CONFIG])
        intent = self._outcomes.intent(body, "cfg")
        if not core.outbox.gate_open:
            self._outcomes.tell("config", intent, "rejected", "REGISTRATION_PENDING")
            return
        if core.personality.correlates and not intent.given_correlation_id:
            too_costly = body is None and parsing.parse(payload, len(payload) * 32) is not None
            code = "JSON_PARSE_ERROR" if too_costly else "CONTRACT_MISSING_CORRELATION"
            self._respond_error(intent, code)
            ended = "JSON_PARSE_ERROR" if too_costly else "CONTRACT_CORRELATION_MISSING"
            self._outcomes.tell("config", intent, "rejected", ended)
            core.error(4033, "Config without correlation_id")
            return
        if body is None:
            self._refuse(intent, "JSON_PARSE_ERROR")
        elif self.lane.is_full:
            self._refuse(intent, "QUEUE_FULL")
        else:
            code = states.accepted_code(core.state, config=True)
            self._accept(payload.decode(errors="replace"), body, intent, code)
            self.lane.work()

    def tick(self) -> None:
        """Replay pushes that a crash left unfinished, one at a time, once registered (12.5)."""
        self.lane.work()
        if self._replay and self._core.outbox.gate_open and not self.lane.is_busy:
            kept = self._replay.pop(0)
            body = parsing.parse(kept.encode(), budget.PARSE_BUDGET_BYTES[Tail.CONFIG])
            if body is not None:
                self._accept(kept, body, self._outcomes.intent(body, "cfg"), "REPLAY")
                self.lane.work()

    def _accept(self, kept: str, body: dict[str, Any], intent: Intent, code: str) -> None:
        ring = self._core.memory.unfinished_configs
        if kept not in ring:
            ring.append(kept)
            if len(ring) > RING:
                self._evict(ring.pop(0))

        def forget() -> None:
            if kept in ring:
                ring.remove(kept)

        def run() -> None:
            self._apply(body, intent)
            forget()

        self._outcomes.tell("config", intent, "accepted", code)
        self.lane.add("config", intent, run, forget)

    def _evict(self, kept: str) -> None:
        body = parsing.parse(kept.encode(), budget.PARSE_BUDGET_BYTES[Tail.CONFIG])
        intent = self._outcomes.intent(body, "cfg")
        self._outcomes.tell("config", intent, "failed", "PENDING_RING_EVICTION")

    # ---- one push

    def _apply(self, body: dict[str, Any], intent: Intent) -> None:
        fences = self._core.memory.generations
        generation = parsing.integer(body.get("generation"))
        present = [scope for scope in SCOPES if scope in body]
        stale = [s for s in present if 0 < generation <= fences.get(s, 0)]
        if present and stale == present and generation <= fences.get(GLOBAL, 0):
            self._refuse(intent, "STALE_SCOPE")
            return
        for scope in stale:
            self._outcomes.tell("config", intent, "rejected", STALE[scope])
        fresh = [scope for scope in present if scope not in stale]
        # Every scope is tried, even after one has failed.
        done = [self._apply_scope(scope, body[scope], intent) for scope in fresh]
        if not all(done):
            self._respond_error(intent, "COMMIT_FAILED")
            self._outcomes.tell("config", intent, "failed", "COMMIT_FAILED")
            return
        if generation > 0:
            for scope in [*fresh, GLOBAL]:
                fences[scope] = max(generation, fences.get(scope, 0))
        self._readiness.committed()
        self._outcomes.tell("config", intent, "persisted", "NONE", "Config committed and persisted")

    def _apply_scope(self, scope: str, entries: Any, intent: Intent) -> bool:
        match scope:
            case "sensors":
                return self._sensors(entries, intent)
            case "actuators":
                return not isinstance(entries, list) or self._actuator_list(entries, intent)
            case _:
                if isinstance(entries, list):
                    rules = [rule for rule in entries if isinstance(rule, dict)]
                    self._core.memory.offline_rules = rules[:MOST_RULES]
                return isinstance(entries, list)

    def _sensors(self, entries: Any, intent: Intent) -> bool:
        if not isinstance(entries, list):
            self._respond_error(intent, "TYPE_MISMATCH", "sensor")
            return False
        found = [config_entries.take_sensor(self._core, entry) for entry in entries]
        failures = [problem for problem in found if problem is not None]
        done = len(found) - len(failures)
        status = "success" if not failures else ("partial_success" if done else "error")
        words = f"{done} configured, {len(failures)} failed"
        answer: dict[str, Any] = {
            "seq": self._core.next_seq(),
            "status": status,
            "type": "sensor",
            "count": done,
            "failed_count": len(failures),
            "message": words if failures else f"Configured {done} item(s) successfully",
        }
        if failures:
            answer["failures"] = failures[:MOST_FAILURES]
        if len(failures) > MOST_FAILURES:
            answer |= {"failures_truncated": True, "total_failures": len(failures)}
        self._respond(answer, intent)
        return not failures

    def _actuator_list(self, entries: list[Any], intent: Intent) -> bool:
        """One success message, or one error message for each failed entry (12.6)."""
        failed = False
        for entry in entries:
            actuator, code = config_entries.take_actuator(self._core, entry)
            if actuator is not None:
                self._actuators.status(actuator)
            if code:
                failed = True
                answer = {
                    "seq": self._core.next_seq(),
                    "status": "error",
                    "type": "actuator",
                    "count": 0,
                    "message": "Failed to configure actuator",
                    "error_code": code,
                    "failed_item": entry if isinstance(entry, dict) else {},
                }
                self._respond(answer, intent)
        if not failed:
            answer = {
                "seq": self._core.next_seq(),
                "status": "success",
                "type": "actuator",
                "count": len(entries),
                "message": f"Configured {len(entries)} actuator(s) successfully",
            }
            self._respond(answer, intent)
        return not failed

    # ---- answers

    def _refuse(self, intent: Intent, code: str) -> None:
        self._respond_error(intent, code)
        self._outcomes.tell("config", intent, "rejected", code)

    def _respond_error(self, intent: Intent, code: str, kind: str = "system") -> None:
        answer = {
            "seq": self._core.next_seq(),
            "status": "error",
            "type": kind,
            "count": 0,
            "message": code.replace("_", " ").lower(),
            "error_code": code,
        }
        self._respond(answer, intent)

    def _respond(self, answer: dict[str, Any], intent: Intent) -> None:
        given = intent.given_correlation_id or f"fw_{self._core.device_id}_{intent.correlation_id}"
        answer["correlation_id"] = given[: parsing.MAX_ID]
        if len(encode(answer)) > LARGEST_PAYLOAD:
            # The reply document has overflowed: the last field is missing (12.6).
            del answer["correlation_id"]
        while len(encode(answer)) > LARGEST_PAYLOAD and answer.get("failures"):
            answer["failures"] = answer["failures"][:-1]
            answer["failures_truncated"] = True
        self._core.publish(Tail.CONFIG_RESPONSE, answer)
