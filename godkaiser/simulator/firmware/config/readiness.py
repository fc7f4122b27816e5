"""CONFIG_PENDING_AFTER_RESET: entered at a boot with part of a configuration (contract, 12.8, 16.4)."""

from __future__ import annotations

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import states
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.memory import Memory

READY = frozenset(("CONFIG_PENDING_EXIT_READY", "OFFLINE_RULES_ONLY_AUTO_EXIT"))
WHY = "CONFIG_PENDING_AFTER_RESET"


def decision(memory: Memory) -> str:
    if memory.offline_rules and not memory.actuators:
        return "OFFLINE_RULES_ONLY_AUTO_EXIT"
    if not memory.sensors:
        return "MISSING_SENSORS"
    return "CONFIG_PENDING_EXIT_READY" if memory.actuators else "MISSING_ACTUATORS"


def state_at_boot(memory: Memory) -> int:
    partial = memory.sensors or memory.actuators or memory.offline_rules
    if partial and decision(memory) not in READY:
        return states.CONFIG_PENDING
    return _approved_state(memory)


def _approved_state(memory: Memory) -> int:
    return states.OPERATIONAL if memory.approved else states.PENDING_APPROVAL


class Readiness:
    """Reports entering the state at the first connect, and leaving it when a push is committed."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._untold_entry = core.state == states.CONFIG_PENDING
        self._entered = int(self._untold_entry)
        self._left = self._blocked = 0

    def connected(self) -> None:
        if self._untold_entry:
            self._untold_entry = False
            self._tell("entered_config_pending", WHY, "boot", "BOOT", ts=0)

    def committed(self) -> None:
        core = self._core
        if core.state != states.CONFIG_PENDING:
            return
        if decision(core.memory) not in READY:
            self._blocked += 1
            self._tell("exit_blocked_config_pending", "CONFIG_PENDING_EXIT_NOT_READY",
                       "config_commit", WHY)  # fmt: skip
            return
        core.state = _approved_state(core.memory)
        self._left += 1
        self._tell("exited_config_pending", "CONFIG_PENDING_EXIT_READY", "config_commit", WHY)

    def _tell(
        self, event: str, reason: str, source: str, before: str, ts: int | None = None
    ) -> None:
        core = self._core
        body = {
            "seq": core.next_seq(),
            "event_type": event,
            "reason_code": reason,
            "trigger_source": source,
            "esp_id": core.device_id,
            "state_before": before,
            "state_after": states.NAMES[core.state],
            "sensor_count": len(core.memory.sensors),
            "actuator_count": len(core.memory.actuators),
            "offline_rule_count": len(core.memory.offline_rules),
            "runtime_profile": "sensor_required",
            "readiness_decision": decision(core.memory),
            "config_pending_enter_count": self._entered,
            "config_pending_exit_count": self._left,
            "config_pending_exit_blocked_count": self._blocked,
            "ts": core.unix if ts is None else ts,
            "boot_sequence_id": core.boot_label,
            "schema": "config_pending_lifecycle_v1",
        }
        core.publish(Tail.LIFECYCLE, body)
