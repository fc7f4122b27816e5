"""Registration: heartbeat, acknowledgement and announcement (contract, section 6)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.config.offline import Offline
from godkaiser.simulator.firmware.core import HEAP_FREE, WIFI_IP, WIFI_RSSI, Core
from godkaiser.simulator.firmware.outcomes import Outcomes

UNREGISTERED_S, REGISTERED_S = 5.0, 60.0
BOOT_IS_STABLE_S = 60.0
METRICS_AT_LEAST_EVERY = 5
DELETE_WORDS = ("DELETE", "REVOK", "TOMBSTONE", "UPSTREAM")
METRICS = (
    "offline_enter_count", "adopting_enter_count", "adoption_noop_count", "adoption_delta_count",
    "handover_abort_count", "handover_contract_reject_count", "handover_contract_last_reject",
    "persistence_drift_count", "critical_outcome_drop_count", "publish_outbox_drop_count",
    "publish_queue_fill", "publish_queue_hwm", "publish_queue_shed_count",
    "publish_queue_drop_count", "sensor_command_queue_overflow_count", "safe_publish_retry_count",
    "emergency_rejected_no_token_total",
)  # fmt: skip


class Registration:
    def __init__(self, core: Core, outcomes: Outcomes, offline: Offline) -> None:
        self._core = core
        self._outcomes = outcomes
        self._offline = offline
        self._next = core.now
        self._last_reject = "NONE"
        self._told_metrics: dict[str, Any] = {}
        self._beats_without = 0

    # ---- heartbeat (6.4, 6.5)

    def connected(self, *, reconnect: bool) -> None:
        self._next = self._core.now
        self._announce()
        self._offline.connected(reconnect=reconnect)

    def force_heartbeat(self) -> None:
        self._next = self._core.now

    def tick(self) -> None:
        core = self._core
        if core.memory.boot_count > 1 and core.uptime_s >= BOOT_IS_STABLE_S:
            core.memory.boot_count = 0
        if core.outbox.connected and core.now >= self._next:
            registered = core.outbox.gate_open
            self._next = core.now + (REGISTERED_S if registered else UNREGISTERED_S)
            body = self._heartbeat()
            if core.personality.correlates and not core.personality.splits_metrics:
                body |= {"metrics_schema_version": 1} | self._metrics()
            core.publish(Tail.HEARTBEAT, body)
            if registered and core.personality.splits_metrics:
                self._tell_metrics()

    def _heartbeat(self) -> dict[str, Any]:
        core, memory = self._core, self._core.memory
        counted = {
            "uptime": int(core.uptime_s),
            "heap_free": HEAP_FREE,
            "wifi_rssi": WIFI_RSSI,
            "sensor_count": len(memory.sensors),
            "actuator_count": len(memory.actuators),
        }
        ids = {
            "esp_id": core.device_id,
            "zone_id": memory.zone_id,
            "master_zone_id": memory.master_zone_id,
            "zone_assigned": bool(memory.zone_id),
            "ts": core.unix,
        }
        if not core.personality.correlates:
            return ids | counted
        return ids | {
            "time_valid": core.clock.valid,
            "boot_sequence_id": core.boot_label,
            "reset_reason": core.reset_reason,
            "segment_start_ts": core.clock.first_set_at,
            **counted,
            "wifi_ip": WIFI_IP,
            "active_handover_epoch": core.active_epoch,
            "handover_completed_epoch": core.completed_epoch,
            "persistence_degraded": False,
            "persistence_degraded_reason": "NONE",
            "runtime_state_degraded": core.state in states.DEGRADED,
            "mqtt_circuit_breaker_open": False,
            "wifi_circuit_breaker_open": False,
            "network_degraded": False,
            "config_status": config_status(core),
        }

    def _metrics(self) -> dict[str, Any]:
        core, outbox = self._core, self._core.outbox
        told: dict[str, Any] = {name: core.counts[name] for name in METRICS}
        told["handover_contract_last_reject"] = self._last_reject
        told |= {
            "publish_outbox_drop_count": outbox.dropped,
            "publish_queue_fill": outbox.fill,
            "publish_queue_hwm": outbox.high_water,
            "publish_queue_shed_count": outbox.shed,
            "publish_queue_drop_count": outbox.dropped,
            "safe_publish_retry_count": outbox.retried,
        }
        if not core.personality.tells_queue_pressure:
            told = {k: v for k, v in told.items() if not k.startswith("publish_queue")}
        return told

    def _tell_metrics(self) -> None:
        told = self._metrics()
        self._beats_without += 1
        if told == self._told_metrics and self._beats_without < METRICS_AT_LEAST_EVERY:
            return
        self._told_metrics, self._beats_without = told, 0
        head = {"esp_id": self._core.device_id, "ts": self._core.unix, "metrics_schema_version": 1}
        self._core.publish(Tail.HEARTBEAT_METRICS, head | told)

    def _announce(self) -> None:
        """Section 6.8, before the subscriptions and before the handover is armed."""
        core = self._core
        if not core.personality.announces:
            return
        epoch = max(core.active_epoch + (core.mode == "OFFLINE_ACTIVE"), 1)
        body = {
            "esp_id": core.device_id,
            "handover_epoch": epoch,
            "session_epoch": epoch,
            "reason": "boot" if epoch == 1 else "reconnect",
            "ts_ms": core.unix * 1000 or core.uptime_ms,
            "boot_ts": str(core.clock.first_set_at or core.unix or int(core.uptime_s)),
        }
        core.publish(Tail.SESSION_ANNOUNCE, body)

    # ---- acknowledgement (6.6)

    def acknowledged(self, payload: bytes) -> None:
        core = self._core
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[Tail.HEARTBEAT_ACK])
        if body is None:
            return
        problem = self._problem(body)
        if problem:
            core.counts["handover_contract_reject_count"] += 1
            self._last_reject = problem
            return
        if not core.outbox.gate_open:
            core.outbox.gate_open = True
            # A heartbeat has just been sent; the next one follows in a minute.
            self._next = core.now + REGISTERED_S
        core.clock.take_server_time(parsing.integer(body.get("server_time")), core.now)
        self._offline.acknowledged()
        self._apply(body)

    def _problem(self, body: dict[str, Any]) -> str:
        if body.get("status") is None:
            return "MISSING_ACK_STATUS"
        if "handover_epoch" not in body:
            return "MISSING_HANDOVER_EPOCH"
        epoch = parsing.unsigned(body["handover_epoch"])
        if epoch is None:
            return "INVALID_HANDOVER_EPOCH_TYPE"
        return self._offline.refuses_epoch(epoch) if epoch else "INVALID_HANDOVER_EPOCH"

    def _apply(self, body: dict[str, Any]) -> None:
        core = self._core
        match body["status"]:
            case "approved" | "online":
                core.memory.approved = True
                if core.state in {states.PENDING_APPROVAL, states.ERROR}:
                    core.state = states.OPERATIONAL
            case "pending_approval":
                core.memory.approved = False
                if core.state != states.CONFIG_PENDING:
                    core.state = states.PENDING_APPROVAL
            case "rejected":
                self._rejected(body)
            case _:
                pass

    def _rejected(self, body: dict[str, Any]) -> None:
        words = f"{body.get('reason_code', '')} {body.get('revocation_source', '')}".upper()
        deleted = (
            body.get("upstream_deleted") is True
            or body.get("delete_intent") is True
            or any(word in words for word in DELETE_WORDS)
        )
        core = self._core
        core.memory.approved = False
        core.state = states.ERROR
        code = "UPSTREAM_DELETE_REVOKED" if deleted else "HEARTBEAT_REJECTED"
        intent = self._outcomes.intent(body, "hb_ack")
        self._outcomes.tell("heartbeat", intent, "rejected", code)
        core.error(4200, "Device rejected by server")


def config_status(core: Core) -> dict[str, Any]:
    """The config status for the heartbeat and the `diagnostics` command."""
    return {
        "wifi_configured": True,
        "zone_assigned": bool(core.memory.zone_id),
        "system_configured": True,
        "subzone_count": len(core.memory.subzones),
        "boot_count": core.memory.boot_count,
        "state": core.state,
    }
