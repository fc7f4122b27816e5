"""Zone and subzones (contract, section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.actuators import Actuators
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.memory import Subzone
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes

MOST_SUBZONES = 8
LONGEST_ZONE, LONGEST_NAME, LONGEST_KAISER = 32, 64, 63
SUBZONE_ERROR = 2506
_ZONE_ID = re.compile(r"[A-Za-z0-9_-]{0,32}\Z")


class Zones:
    """`config_is_busy` tells whether the configuration lane, which zones also use, is busy."""

    def __init__(
        self, core: Core, outcomes: Outcomes, actuators: Actuators,
        config_is_busy: Callable[[], bool], force_heartbeat: Callable[[], None],
    ) -> None:  # fmt: skip
        self._core = core
        self._outcomes = outcomes
        self._actuators = actuators
        self._config_is_busy = config_is_busy
        self._force_heartbeat = force_heartbeat

    # ---- zone (14.1, 14.2)

    def assign(self, payload: bytes) -> None:
        """Works before registration and with any approval."""
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[Tail.ZONE_ASSIGN])
        intent = self._outcomes.intent(body, "zone")
        if body is None:
            self._zone_error(intent, "Failed to parse zone assignment", "JSON_PARSE_ERROR")
            return
        if self._config_is_busy():
            self._zone_error(intent, "Configuration in progress", "CONFIG_LANE_BUSY")
            self._outcomes.tell("zone", intent, "rejected", "CONFIG_LANE_BUSY")
            return
        names = ("zone_id", "master_zone_id", "zone_name", "kaiser_id")
        # The firmware reads these without a default.
        zone_id, master, zone_name, kaiser_id = (parsing.text_or_null(body.get(n)) for n in names)
        if not (
            _ZONE_ID.match(zone_id)
            and len(master) <= LONGEST_ZONE
            and len(zone_name) <= LONGEST_NAME
            and len(kaiser_id) <= LONGEST_KAISER
        ):
            self._zone_error(intent, "Invalid zone assignment")
            return
        self._store(zone_id, master, zone_name)
        self._zone_ack(intent, "zone_assigned" if zone_id else "zone_removed", {
            "zone_id": zone_id, "master_zone_id": self._core.memory.master_zone_id,
        })  # fmt: skip
        self._core.memory.kaiser_id = kaiser_id or "god"
        self._force_heartbeat()

    def _store(self, zone_id: str, master_zone_id: str, zone_name: str) -> None:
        memory = self._core.memory
        memory.zone_id, memory.master_zone_id, memory.zone_name = zone_id, master_zone_id, zone_name
        if zone_id:
            self._core.state = states.ZONE_CONFIGURED
        else:
            memory.master_zone_id = memory.zone_name = ""
            memory.subzones.clear()
            self._core.state = states.PENDING_APPROVAL

    def _zone_error(self, intent: Intent, message: str, reason_code: str = "") -> None:
        fields = {"message": message}
        if reason_code:
            fields["reason_code"] = reason_code
        self._zone_ack(intent, "error", fields)

    def _zone_ack(self, intent: Intent, status: str, fields: dict[str, Any]) -> None:
        core = self._core
        body = {"esp_id": core.device_id, "status": status, **fields, "ts": core.unix}
        body |= {"seq": core.next_seq(), "correlation_id": intent.correlation_id}
        core.publish(Tail.ZONE_ACK, body)

    # ---- subzones (14.3 to 14.6)

    def assign_subzone(self, payload: bytes) -> None:
        taken = self._read(Tail.SUBZONE_ASSIGN, "subzone_assign", payload)
        if taken is None:
            return
        body, intent, subzone_id = taken
        memory = self._core.memory
        parent = parsing.text_or_null(body.get("parent_zone_id"))
        given = body.get("assigned_gpios")
        pins = [parsing.lenient_integer(pin) for pin in given] if isinstance(given, list) else []
        gpios = tuple(pin for pin in pins if pin is not None)
        problem = ""
        if not 0 < len(subzone_id) <= LONGEST_ZONE:
            problem = "subzone_id must have 1 to 32 characters"
        elif not memory.zone_id:
            problem = "zone not assigned"
        elif parent not in {"", memory.zone_id}:
            problem = "parent_zone_id mismatch"
        elif not isinstance(given, list) or len(gpios) < len(given):
            problem = "assigned_gpios missing or invalid"
        elif any(self._core.personality.board.refuses(pin, {}) for pin in gpios):
            problem = "GPIO not usable"
        elif subzone_id not in memory.subzones and len(memory.subzones) >= MOST_SUBZONES:
            problem = "too many subzones"
        if problem:
            self._subzone_error(intent, subzone_id, problem, {"error_code": SUBZONE_ERROR})
            return
        safe = parsing.lenient_bool(body.get("safe_mode_active"), default=True)
        name = parsing.text_or_null(body.get("subzone_name"))
        memory.subzones[subzone_id] = subzone = Subzone(subzone_id, name, gpios, safe_mode=safe)
        if safe:
            self._make_safe(subzone)
        self._subzone_ack(intent, "subzone_assigned", subzone_id)

    def remove_subzone(self, payload: bytes) -> None:
        taken = self._read(Tail.SUBZONE_REMOVE, "subzone_remove", payload)
        if taken is None:
            return
        _, intent, subzone_id = taken
        if self._core.memory.subzones.pop(subzone_id, None) is None:
            self._not_found(intent, subzone_id)
        else:
            self._subzone_ack(intent, "subzone_removed", subzone_id)

    def make_subzone_safe(self, payload: bytes) -> None:
        """No acknowledgement on success (14.6)."""
        taken = self._read(Tail.SUBZONE_SAFE, "subzone_safe", payload)
        if taken is None:
            return
        body, intent, subzone_id = taken
        subzone = self._core.memory.subzones.get(subzone_id)
        action = body.get("action")
        if body.get("safe_mode") is True:
            action = "enable"
        if action not in {"enable", "disable"}:
            reason = {"reason_code": "VALIDATION_ERROR"}
            self._subzone_error(intent, subzone_id, "action must be enable or disable", reason)
        elif subzone is None:
            self._not_found(intent, subzone_id)
        else:
            subzone.safe_mode = action == "enable"
            if subzone.safe_mode:
                self._make_safe(subzone)

    def _read(
        self, tail: Tail, flow: str, payload: bytes
    ) -> tuple[dict[str, Any], Intent, str] | None:
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[tail])
        intent = self._outcomes.intent(body, "subz")
        if body is None:
            reason = {"reason_code": "JSON_PARSE_ERROR"}
            self._subzone_error(intent, "unknown", "Failed to parse subzone message", reason)
            return None
        subzone_id = parsing.text_or_null(body.get("subzone_id"))
        if self._config_is_busy():
            reason = {"reason_code": "CONFIG_LANE_BUSY"}
            self._subzone_error(intent, subzone_id, "Configuration in progress", reason)
            self._outcomes.tell(flow, intent, "rejected", "CONFIG_LANE_BUSY")
            return None
        return body, intent, subzone_id

    def _make_safe(self, subzone: Subzone) -> None:
        for actuator in self._actuators.all:
            if actuator.gpio in subzone.gpios and actuator.level > 0:
                self._actuators.set_level(actuator, 0.0, "firmware:subzone_safe")
                self._actuators.status(actuator)

    def _not_found(self, intent: Intent, subzone_id: str) -> None:
        reason = {"reason_code": "SUBZONE_NOT_FOUND"}
        self._subzone_error(intent, subzone_id, "Subzone not found", reason)

    def _subzone_error(
        self, intent: Intent, subzone_id: str, message: str, code: dict[str, Any]
    ) -> None:
        self._subzone_ack(intent, "error", subzone_id, {**code, "message": message})

    def _subzone_ack(
        self, intent: Intent, status: str, subzone_id: str, fields: dict[str, Any] | None = None
    ) -> None:
        core = self._core
        body: dict[str, Any] = {"esp_id": core.device_id, "status": status}
        body["subzone_id"] = subzone_id
        body |= {"timestamp": core.unix, **(fields or {}), "seq": core.next_seq()}
        core.publish(Tail.SUBZONE_ACK, body | {"correlation_id": intent.correlation_id})
