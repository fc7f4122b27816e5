"""One ESP32's firmware as a state machine: messages and time in, publications out. Pure but for its
own state; the network is `fleet.py`, the physics `greenhouse.py`.

Follows the contract section by section; the numbers in the comments are its sections.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from godkaiser.protocol import budget, topics
from godkaiser.protocol.topics import Tail

HEARTBEAT_UNREGISTERED_S = 5.0
HEARTBEAT_REGISTERED_S = 60.0
STATUS_S = 30.0
ACK_TIMEOUT_S = 120.0
GRACE_S = 30.0
CLEAR_LOCKOUT_S = 5.0
CLEAR_TAKES_S = 2.0
ADOPTION_S = 2.0
PUMP_STARTS_AN_HOUR = 60
HOUR_S = 3600.0
RESERVED = frozenset((0, 1, 2, 3, 12, 13, *range(6, 12)))
INPUT_ONLY = frozenset((34, 35, 36, 39))
I2C_PINS = frozenset((21, 22))
MAX_SENSORS, MAX_ACTUATORS = 20, 12
I2C_TYPES = {
    "sht31": ("sht31_temp", "sht31_humidity"),
    "bmp280": ("bmp280_pressure", "bmp280_temp"),
    "bme280": ("bme280_pressure", "bme280_temp", "bme280_humidity"),
}
ALLOWED_WHILE_LIMITED = frozenset(
    ("status", "diagnostics", "get_config", "set_log_level", "safe_mode")
)

PENDING_APPROVAL, OPERATIONAL, ZONE_CONFIGURED, CONFIG_PENDING = 10, 9, 6, 8
SAFE_MODE, ERROR = 12, 14


@dataclass(frozen=True, slots=True)
class Publish:
    """`qos` as the firmware publishes it; nothing that a device publishes is retained."""

    topic: str
    payload: bytes
    qos: int


@dataclass(slots=True)
class Sensor:
    gpio: int
    sensor_type: str
    onewire_address: str = ""
    i2c_address: int | None = None
    interval_s: float = 30.0
    mode: str = "continuous"
    subzone_id: str = ""
    next_due: float = 0.0

    @property
    def identity(self) -> tuple[int, str, str, int | None]:
        return (self.gpio, self.sensor_type, self.onewire_address, self.i2c_address)


@dataclass(slots=True)
class Actuator:
    gpio: int
    kind: str
    max_runtime_s: float = 3600.0
    default_on: bool = False
    critical: bool = False
    level: float = 0.0
    stopped: bool = False
    source: str = ""
    on_since: float | None = None
    off_at: float | None = None
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=PUMP_STARTS_AN_HOUR))

    @property
    def pwm(self) -> int:
        if self.kind == "valve":
            return round(self.level * 2) * 127
        return math.floor(self.level * 255)


@dataclass(slots=True)
class Memory:
    """What survives a restart (NVS)."""

    approved: bool = False
    zone_id: str = ""
    master_zone_id: str = ""
    kaiser_id: str = "god"
    sensors: dict[tuple[Any, ...], Sensor] = field(default_factory=dict)
    actuators: dict[int, Actuator] = field(default_factory=dict)
    offline_rules: list[dict[str, Any]] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


class Firmware:
    """Times are unix seconds; `read_raw` asks the physics for a sensor's raw value."""

    def __init__(
        self,
        device_id: str,
        now: float,
        read_raw: Callable[[str], int],
        *,
        memory: Memory | None = None,
        kaiser_id: str = "god",
    ) -> None:
        self.device_id = device_id
        self.memory = memory or Memory(kaiser_id=kaiser_id)
        self._read_raw = read_raw
        self.boots = 0
        self._out: list[Publish] = []
        self._boot(now)

    def _boot(self, now: float) -> None:
        self.boots += 1
        self.booted_at = now
        self.seq = 0
        self.gate_open = False
        self.connected = False
        self.mode = "ONLINE"
        self.active_epoch = 0
        self.completed_epoch = 0
        self.last_ack_at = now
        self.grace_until: float | None = None
        self.adopting_until: float | None = None
        self.next_heartbeat = now
        self.next_status = now + STATUS_S
        self.stopped_at: float | None = None
        self.clearing: tuple[float, str] | None = None
        self._finished: deque[str] = deque(maxlen=32)
        for actuator in self.memory.actuators.values():
            actuator.level = 1.0 if actuator.default_on else 0.0
            actuator.stopped = False
            actuator.on_since = now if actuator.default_on else None
            actuator.off_at = None
        partial = bool(self.memory.sensors) != bool(self.memory.actuators)
        if partial and not (self.memory.offline_rules and not self.memory.actuators):
            self.state = CONFIG_PENDING
        else:
            self.state = OPERATIONAL if self.memory.approved else PENDING_APPROVAL

    # ---- what drives it

    @property
    def subscriptions(self) -> list[tuple[str, int]]:
        """The twelve filters, in the order and with the QoS of 3.6."""
        own = f"kaiser/{self.memory.kaiser_id}/esp/{self.device_id}/"
        return [
            (own + "system/heartbeat/ack", 1),
            (own + "config", 2),
            (own + "system/command", 2),
            (topics.BROADCAST_EMERGENCY, 2),
            (own + "actuator/+/command", 2),
            (own + "actuator/emergency", 1),
            (own + "zone/assign", 1),
            (own + "subzone/assign", 1),
            (own + "subzone/remove", 1),
            (own + "subzone/safe", 1),
            (own + "sensor/+/command", 2),
            (topics.server_status(self.memory.kaiser_id), 1),
        ]

    def will(self, now: float) -> tuple[str, bytes]:
        body = {
            "status": "offline",
            "esp_id": self.device_id,
            "reason": "unexpected_disconnect",
            "timestamp": int(now),
        }
        return topics.will(self.memory.kaiser_id, self.device_id), _json(body)

    def restart(self, now: float) -> None:
        """Power off and on: the memory stays, the rest begins again."""
        self._boot(now)

    def on_connect(self, now: float, *, reconnect: bool) -> list[Publish]:
        self.connected = True
        self.gate_open = False
        self.last_ack_at = now
        self.next_heartbeat = now
        if reconnect:
            self._rearm()
        self._announce(now, "reconnect" if self.active_epoch > 1 else "boot")
        return self._take()

    def on_disconnect(self, now: float) -> list[Publish]:
        self.connected = False
        self.gate_open = False
        if self.mode in {"RECONNECTING", "ADOPTING"}:
            self.mode = "OFFLINE_ACTIVE"
        elif self.mode == "ONLINE":
            self._lose_server(now, link=True)
        self._out.clear()
        return []

    def on_tick(self, now: float) -> list[Publish]:
        """Call it a few times a second."""
        self._run_timers(now)
        if self.connected:
            if now >= self.next_heartbeat:
                self._heartbeat(now)
            if now >= self.next_status:
                self.next_status = now + STATUS_S
                if self.state in {OPERATIONAL, ZONE_CONFIGURED}:
                    for actuator in self.memory.actuators.values():
                        self._status(actuator, now)
            self._measure_due(now)
        return self._take()

    def on_message(self, topic: str, payload: bytes, now: float) -> list[Publish]:
        if topic == topics.BROADCAST_EMERGENCY:
            self._broadcast(payload, now)
        elif topic == topics.server_status(self.memory.kaiser_id):
            self._server_status(payload, now)
        else:
            parsed = topics.parse(topic)
            if parsed is not None and parsed.device_id == self.device_id:
                self._own_topic(parsed, payload, now)
        return self._take()

    def levels(self) -> dict[int, float]:
        return {gpio: actuator.level for gpio, actuator in self.memory.actuators.items()}

    def _own_topic(self, topic: topics.DeviceTopic, payload: bytes, now: float) -> None:
        match topic.tail:
            case Tail.HEARTBEAT_ACK:
                self._ack(payload, now)
            case Tail.CONFIG:
                self._config(payload, now)
            case Tail.ACTUATOR_COMMAND:
                self._command(topic.gpio or 0, payload, now)
            case Tail.ACTUATOR_EMERGENCY:
                self._device_emergency(payload, now)
            case Tail.SENSOR_COMMAND:
                self._sensor_command(topic.gpio or 0, payload, now)
            case Tail.ZONE_ASSIGN:
                self._zone_assign(payload, now)
            case Tail.SYSTEM_COMMAND:
                self._system_command(payload, now)
            case _:
                pass

    # ---- publishing

    def _take(self) -> list[Publish]:
        out, self._out = self._out, []
        return out

    def _publish(self, tail: Tail, body: dict[str, Any], *, qos: int = 1,
                 gpio: int | None = None, kaiser_id: str | None = None,
                 exempt: bool = False) -> None:  # fmt: skip
        # Section 6.3: while the gate is closed almost nothing leaves, and nothing is kept.
        if not self.gate_open and not exempt:
            return
        topic = topics.device_topic(kaiser_id or self.memory.kaiser_id, self.device_id, tail, gpio)
        self._out.append(Publish(topic, _json(body), qos))

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _announce(self, now: float, reason: str) -> None:
        epoch = max(self.active_epoch, 1)
        body = {
            "esp_id": self.device_id,
            "handover_epoch": epoch,
            "session_epoch": epoch,
            "reason": reason,
            "ts_ms": int(now * 1000),
            "boot_ts": str(int(self.booted_at)),
        }
        self._publish(Tail.SESSION_ANNOUNCE, body, kaiser_id="god", exempt=True)

    def _heartbeat(self, now: float) -> None:
        interval = HEARTBEAT_REGISTERED_S if self.gate_open else HEARTBEAT_UNREGISTERED_S
        self.next_heartbeat = now + interval
        memory = self.memory
        body = {
            "esp_id": self.device_id,
            "zone_id": memory.zone_id,
            "master_zone_id": memory.master_zone_id,
            "zone_assigned": bool(memory.zone_id),
            "ts": int(now),
            "time_valid": True,
            "boot_sequence_id": f"{self.device_id}-b{self.boots}-r1",
            "reset_reason": "POWERON",
            "segment_start_ts": int(self.booted_at),
            "uptime": int(now - self.booted_at),
            "heap_free": 141208,
            "wifi_rssi": -58,
            "sensor_count": len(memory.sensors),
            "actuator_count": len(memory.actuators),
            "wifi_ip": "192.168.10.41",
            "active_handover_epoch": self.active_epoch,
            "handover_completed_epoch": self.completed_epoch,
            "persistence_degraded": False,
            "persistence_degraded_reason": "NONE",
            "runtime_state_degraded": self.state in {CONFIG_PENDING, SAFE_MODE, ERROR},
            "mqtt_circuit_breaker_open": False,
            "wifi_circuit_breaker_open": False,
            "network_degraded": False,
            "config_status": {
                "wifi_configured": True,
                "zone_assigned": bool(memory.zone_id),
                "system_configured": True,
                "subzone_count": 0,
                "boot_count": self.boots,
                "state": self.state,
            },
        }
        self._publish(Tail.HEARTBEAT, body, qos=0, exempt=True)

    def _outcome(self, flow: str, ids: dict[str, Any], outcome: str, code: str, now: float,
                 reason: str = "") -> None:  # fmt: skip
        intent = str(ids.get("intent_id") or f"{flow[:3]}_{int(now * 1000)}")
        if outcome != "accepted":
            if intent in self._finished:
                return
            self._finished.append(intent)
        body = {
            "seq": self._next_seq(),
            "flow": flow,
            "intent_id": intent,
            "correlation_id": str(ids.get("correlation_id") or f"corr_{int(now * 1000)}"),
            "generation": _integer(ids.get("generation")),
            "ttl_ms": 0,
            "epoch": 0,
            "outcome": outcome,
            "contract_version": 2,
            "code": code,
            "reason": reason,
            "retryable": code == "QUEUE_FULL",
            "critical": outcome != "accepted",
            "ts": int(now),
        }
        self._publish(Tail.INTENT_OUTCOME, body)

    # ---- registration and modes (6.6, 18)

    def _ack(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        if body is None or budget.parse_cost(body) > budget.PARSE_BUDGET_BYTES[Tail.HEARTBEAT_ACK]:
            return
        status, epoch = body.get("status"), body.get("handover_epoch")
        if status is None or not isinstance(epoch, int) or isinstance(epoch, bool) or epoch <= 0:
            return
        if self.mode not in {"ONLINE", "DISCONNECTED"} and epoch != self.active_epoch:
            return
        self.gate_open = True
        self.last_ack_at = now
        self.next_heartbeat = min(self.next_heartbeat, now + HEARTBEAT_REGISTERED_S)
        if self.next_heartbeat - now < HEARTBEAT_UNREGISTERED_S:
            self.next_heartbeat = now + HEARTBEAT_REGISTERED_S
        if self.mode == "DISCONNECTED":
            self.mode, self.grace_until = "ONLINE", None
        elif self.mode == "RECONNECTING":
            self.mode, self.adopting_until = "ADOPTING", now + ADOPTION_S
            for actuator in self.memory.actuators.values():
                self._status(actuator, now)
        self._apply_ack_status(str(status), now)

    def _apply_ack_status(self, status: str, now: float) -> None:
        match status:
            case "approved" | "online":
                self.memory.approved = True
                if self.state in {PENDING_APPROVAL, ERROR}:
                    self.state = OPERATIONAL
            case "pending_approval":
                self.memory.approved = False
                if self.state != CONFIG_PENDING:
                    self.state = PENDING_APPROVAL
            case "rejected":
                self.memory.approved = False
                self.state = ERROR
                self._outcome("heartbeat", {}, "rejected", "HEARTBEAT_REJECTED", now)
            case _:
                pass

    def _rearm(self) -> None:
        if self.mode == "OFFLINE_ACTIVE":
            self.mode = "RECONNECTING"
            self.active_epoch += 1
        elif self.mode == "DISCONNECTED":
            self.mode, self.grace_until = "ONLINE", None

    def _server_status(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        match None if body is None else body.get("status"):
            case "offline":
                if self.mode == "ONLINE":
                    self._lose_server(now, link=False)
            case "online":
                self._rearm()
            case _:
                pass

    def _lose_server(self, now: float, *, link: bool) -> None:
        """18.2: without offline rules every actuator falls to its default at once."""
        self.mode = "DISCONNECTED"
        self.grace_until = now + GRACE_S
        covered = {rule.get("actuator_gpio") for rule in self.memory.offline_rules}
        for actuator in self.memory.actuators.values():
            if not covered or (link and actuator.gpio not in covered):
                self._set_level(actuator, 1.0 if actuator.default_on else 0.0, now, "offline")

    def _run_timers(self, now: float) -> None:
        if self.connected and self.mode == "ONLINE" and now - self.last_ack_at > ACK_TIMEOUT_S:
            self._lose_server(now, link=False)
        if self.grace_until is not None and now >= self.grace_until:
            self.grace_until = None
            if self.mode == "DISCONNECTED":
                self.mode = "OFFLINE_ACTIVE"
        if self.adopting_until is not None and now >= self.adopting_until:
            self.adopting_until = None
            self.completed_epoch = self.active_epoch
            self.mode = "ONLINE"
        if self.clearing is not None and now >= self.clearing[0]:
            self._finish_clear(self.clearing[1], now)
        for actuator in self.memory.actuators.values():
            if actuator.off_at is not None and now >= actuator.off_at:
                actuator.off_at = None
                self._set_level(actuator, 0.0, now, "firmware:auto_duration")
                self._status(actuator, now)
            if actuator.on_since is not None and now - actuator.on_since > actuator.max_runtime_s:
                self._stop_actuator(actuator, now)
                self._alert(actuator.gpio, "runtime_protection", now)
                self._alert(actuator.gpio, "emergency_stop", now)
                self._status(actuator, now)

    # ---- sensors (8)

    def _measure_due(self, now: float) -> None:
        for sensor in self.memory.sensors.values():
            if sensor.mode == "continuous" and now >= sensor.next_due:
                sensor.next_due = now + sensor.interval_s
                self._reading(sensor, now)

    def _reading(self, sensor: Sensor, now: float) -> None:
        raw = self._read_raw(sensor.sensor_type)
        body: dict[str, Any] = {
            "esp_id": self.device_id,
            "seq": self._next_seq(),
            "zone_id": self.memory.zone_id,
            "subzone_id": sensor.subzone_id,
            "gpio": sensor.gpio,
            "sensor_type": sensor.sensor_type,
            "raw": raw,
            "value": float(raw),
            "unit": "raw",
            "quality": "good",
            "ts": int(now),
            "time_valid": True,
            "raw_mode": True,
        }
        if sensor.onewire_address:
            body["onewire_address"] = sensor.onewire_address
        if sensor.i2c_address is not None:
            body["i2c_address"] = sensor.i2c_address
        self._publish(Tail.SENSOR_DATA, body, gpio=sensor.gpio)

    def _sensor_command(self, gpio: int, payload: bytes, now: float) -> None:
        body = _object(payload)
        if body is None:
            self._outcome("command", {}, "rejected", "INVALID_JSON", now)
            return
        blocked = self._blocked()
        if blocked or body.get("command") != "measure":
            self._outcome("command", body, "rejected", blocked or "UNKNOWN_COMMAND", now)
            return
        found = [s for s in self.memory.sensors.values() if s.gpio == gpio]
        for sensor in found:
            self._reading(sensor, now)
        if "request_id" in body:
            answer = {
                "request_id": body["request_id"],
                "gpio": gpio,
                "command": "measure",
                "success": bool(found),
                "measurement_ok": bool(found),
                "publish_ok": bool(found),
                "timeout": False,
                "reason_code": "NONE" if found else "SENSOR_NOT_FOUND",
                "ts": int(now),
                "seq": self._next_seq(),
                "correlation_id": body.get("correlation_id", ""),
            }
            self._publish(Tail.SENSOR_RESPONSE, answer, gpio=gpio, exempt=True)

    # ---- actuators (10)

    def _blocked(self) -> str:
        """The admission table of 6.2: the code of what is in the way, or "" for nothing."""
        if not self.gate_open:
            return "REGISTRATION_PENDING"
        return {
            PENDING_APPROVAL: "PENDING_APPROVAL_BLOCKED",
            CONFIG_PENDING: "CONFIG_PENDING_BLOCKED",
            SAFE_MODE: "SAFETY_LOCKED",
            ERROR: "DEGRADED_MODE_BLOCKED",
        }.get(self.state, "")

    def _command(self, gpio: int, payload: bytes, now: float) -> None:
        body = _object(payload[: budget.COMMAND_TEXT_BYTES]) or {}
        blocked = self._blocked()
        if blocked:
            self._outcome("command", body, "rejected", blocked, now)
            reason = f"Rejected before execution (reason_code={blocked})"
            self._response(gpio, body, now, reason, success=False)
            return
        self._outcome("command", body, "accepted", "COMMAND_ACCEPTED", now)
        failure = self._execute(gpio, body, now)
        self._response(gpio, body, now, failure or "Command executed", success=not failure)
        if failure:
            self._outcome("command", body, "failed", "EXECUTE_FAIL", now, failure)
        else:
            self._outcome("command", body, "applied", "NONE", now)

    def _execute(self, gpio: int, body: dict[str, Any], now: float) -> str:
        """Switch; returns why not, or ""."""
        actuator = self.memory.actuators.get(gpio)
        if actuator is None:
            return f"No actuator on GPIO {gpio}"
        verb = str(body.get("command", "UNKNOWN")).upper()
        value = _number(body.get("value"))
        if actuator.stopped:
            self._alert(gpio, "emergency_stop", now)
            self._status(actuator, now)
            return "Actuator is emergency stopped"
        level = _commanded_level(actuator, verb, value)
        if level is None:
            return "Unknown command" if verb != "PWM" else "Value out of range"
        if level > 0 and actuator.level == 0 and actuator.kind in {"pump", "relay"}:
            recent = [at for at in actuator.starts if now - at < HOUR_S]
            if len(recent) >= PUMP_STARTS_AN_HOUR:
                return "Too many activations within an hour"
            actuator.starts.append(now)
        actuator.off_at = None
        duration = _number(body.get("duration"))
        if verb == "ON" and duration > 0:
            actuator.off_at = now + duration
        self._set_level(actuator, level, now, str(body.get("issued_by", "system:unknown")))
        self._status(actuator, now)
        return ""

    def _set_level(self, actuator: Actuator, level: float, now: float, source: str) -> None:
        if level > 0 and actuator.level == 0:
            actuator.on_since = now
        elif level == 0:
            actuator.on_since = None
            actuator.off_at = None
        actuator.level = level
        actuator.source = source

    def _status(self, actuator: Actuator, now: float) -> None:
        runtime = 0.0 if actuator.on_since is None else now - actuator.on_since
        body = {
            "esp_id": self.device_id,
            "seq": self._next_seq(),
            "zone_id": self.memory.zone_id,
            "subzone_id": "",
            "ts": int(now),
            "gpio": actuator.gpio,
            "type": actuator.kind,
            "state": actuator.level > 0,
            "pwm": actuator.pwm,
            "runtime_ms": int(runtime * 1000),
            "emergency": "active" if actuator.stopped else "normal",
            "command_source": actuator.source,
        }
        self._publish(Tail.ACTUATOR_STATUS, body, gpio=actuator.gpio)

    def _response(
        self, gpio: int, command: dict[str, Any], now: float, message: str, *, success: bool
    ) -> None:
        body = {
            "esp_id": self.device_id,
            "zone_id": self.memory.zone_id,
            "seq": self._next_seq(),
            "ts": int(now),
            "gpio": gpio,
            "command": str(command.get("command", "UNKNOWN")),
            "value": round(_number(command.get("value")), 3),
            "duration": int(_number(command.get("duration"))),
            "success": success,
            "message": message,
            "issued_by": str(command.get("issued_by", "system:unknown")),
        }
        if "correlation_id" in command:
            body["correlation_id"] = command["correlation_id"]
        self._publish(Tail.ACTUATOR_RESPONSE, body, gpio=gpio, exempt=True)

    def _alert(self, gpio: int, kind: str, now: float) -> None:
        body = {
            "esp_id": self.device_id,
            "zone_id": self.memory.zone_id,
            "seq": self._next_seq(),
            "ts": int(now),
            "gpio": gpio,
            "alert_type": kind,
            "message": kind.replace("_", " "),
        }
        self._publish(Tail.ACTUATOR_ALERT, body, gpio=gpio)

    # ---- emergency (11)

    def _broadcast(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        if body is None or budget.parse_cost(body) > budget.BROADCAST_BUDGET_BYTES:
            self._outcome("command", {}, "failed", "EMERGENCY_PARSE_ERROR", now)
            return
        command, action = body.get("command"), body.get("action")
        broken = (command is not None and not isinstance(command, str)) or (
            command is not None and action is not None and command != action
        )
        texts = (body.get("reason"), body.get("issued_by"), body.get("timestamp"), action)
        verb = command if command is not None else action
        if not broken and (
            verb is None or any(text is not None and not isinstance(text, str) for text in texts)
        ):
            self._outcome("command", body, "failed", "EMERGENCY_CONTRACT_MISMATCH", now)
            return
        if not broken and verb not in {"stop_all", "emergency_stop"}:
            self._outcome("command", body, "failed", "EMERGENCY_CONTRACT_MISMATCH", now)
            return
        token = self.memory.tokens.get("broadcast")
        if token is not None and body.get("auth_token") != token and not broken:
            self._outcome("command", body, "rejected", "UNAUTHORIZED", now)
            return
        self._outcome("command", body, "applied", "BROADCAST_EMERGENCY_STOP_TRIGGERED", now)
        self._stop_everything(now)

    def _device_emergency(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        limit = budget.PARSE_BUDGET_BYTES[Tail.ACTUATOR_EMERGENCY]
        if body is None or budget.parse_cost(body) > limit:
            self._outcome("command", {}, "failed", "EMERGENCY_PARSE_ERROR", now)
            return
        token = self.memory.tokens.get("esp")
        if token is not None and body.get("auth_token") != token:
            error = {"error": "unauthorized", "message": "wrong token", "seq": self._next_seq()}
            self._publish(Tail.EMERGENCY_ERROR, error, exempt=True)
            self._outcome("command", body, "rejected", "UNAUTHORIZED", now)
            return
        match body.get("command"):
            case "emergency_stop":
                ack = {
                    "ts": int(now),
                    "esp_id": self.device_id,
                    "correlation_id": body.get("correlation_id", f"fw_{int(now * 1000)}"),
                    "command": "emergency_stop",
                    "gpio_count": len(self.memory.actuators),
                    "outcome": "executed",
                    "seq": self._next_seq(),
                }
                self._publish(Tail.EMERGENCY_ACK, ack)
                self._outcome("command", body, "applied", "EMERGENCY_STOP_TRIGGERED", now)
                self._stop_everything(now)
            case "clear_emergency":
                self._begin_clear(body, now)
            case _:
                self._outcome("command", body, "rejected", "VALIDATION_FAIL", now)

    def _stop_everything(self, now: float) -> None:
        self.stopped_at = now
        self.clearing = None
        self.mode = "ONLINE"
        self.grace_until = self.adopting_until = None
        self.active_epoch = self.completed_epoch = 0
        for actuator in self.memory.actuators.values():
            self._stop_actuator(actuator, now)
            self._alert(actuator.gpio, "emergency_stop", now)
            self._status(actuator, now)

    def _stop_actuator(self, actuator: Actuator, now: float) -> None:
        self._set_level(actuator, 0.0, now, "emergency")
        actuator.stopped = True

    def _begin_clear(self, body: dict[str, Any], now: float) -> None:
        if self.stopped_at is not None and now - self.stopped_at < CLEAR_LOCKOUT_S:
            error = {"error": "clear_failed", "message": "too early", "seq": self._next_seq()}
            self._publish(Tail.EMERGENCY_ERROR, error, exempt=True)
            self._alert(topics.NO_GPIO, "verification_failed", now)
            self._outcome("command", body, "failed", "EMERGENCY_CLEAR_REJECTED", now)
            return
        correlation_id = str(body.get("correlation_id", f"fw_{int(now * 1000)}"))
        self.clearing = (now + CLEAR_TAKES_S, correlation_id)

    def _finish_clear(self, correlation_id: str, now: float) -> None:
        self.clearing = None
        self.stopped_at = None
        for actuator in self.memory.actuators.values():
            actuator.stopped = False
        if self.state == SAFE_MODE:
            self.state = OPERATIONAL
        answer = {
            "status": "emergency_cleared",
            "timestamp": int((now - self.booted_at) * 1000),
            "seq": self._next_seq(),
        }
        self._publish(Tail.EMERGENCY_RESPONSE, answer, exempt=True)
        ids = {"correlation_id": correlation_id, "intent_id": correlation_id}
        self._outcome("command", ids, "applied", "EMERGENCY_CLEAR_APPLIED", now)
        confirm = {
            "ts": int(now),
            "esp_id": self.device_id,
            "correlation_id": correlation_id,
            "command": "clear_emergency",
            "state": "cleared",
            "seq": self._next_seq(),
        }
        self._publish(Tail.RECOVERY_CONFIRM, confirm)

    # ---- configuration (12)

    def _config(self, payload: bytes, now: float) -> None:
        if len(payload) > budget.CONFIG_TEXT_BYTES:
            self._config_error({}, "PAYLOAD_TOO_LARGE", now)
            return
        body = _object(payload)
        if body is None or not body.get("correlation_id"):
            self._config_error({}, "CONTRACT_MISSING_CORRELATION", now)
            return
        if not self.gate_open:
            self._outcome("config", body, "rejected", "REGISTRATION_PENDING", now)
            return
        scopes = [scope for scope in ("sensors", "actuators", "offline_rules") if scope in body]
        generation = _integer(body.get("generation"))
        fresh = [s for s in scopes if not generation or generation > self._generation(s)]
        if scopes and not fresh:
            self._config_error(body, "STALE_SCOPE", now)
            self._outcome("config", body, "rejected", "STALE_SCOPE", now)
            return
        failed = False
        if "sensors" in fresh and isinstance(body["sensors"], list):
            failed |= not self._configure_sensors(body["sensors"], body, now)
        if "actuators" in fresh and isinstance(body["actuators"], list):
            failed |= not self._configure_actuators(body["actuators"], body, now)
        if "offline_rules" in fresh and isinstance(body["offline_rules"], list):
            self.memory.offline_rules = body["offline_rules"][:8]
        if failed:
            self._config_error(body, "COMMIT_FAILED", now)
            self._outcome("config", body, "failed", "COMMIT_FAILED", now)
            return
        for scope in fresh:
            self.memory.generations[scope] = generation or self._generation(scope)
        if self.state == CONFIG_PENDING and self.memory.sensors and self.memory.actuators:
            self.state = OPERATIONAL if self.memory.approved else PENDING_APPROVAL
        self._outcome("config", body, "persisted", "NONE", now, "Config committed and persisted")

    def _generation(self, scope: str) -> int:
        return self.memory.generations.get(scope, 0)

    def _configure_sensors(self, entries: list[Any], body: dict[str, Any], now: float) -> bool:
        done, failures = 0, []
        for entry in entries:
            problem = self._configure_sensor(entry, now)
            if problem is None:
                done += 1
            else:
                failures.append(problem)
        status = "success" if not failures else ("partial_success" if done else "error")
        answer: dict[str, Any] = {
            "seq": self._next_seq(),
            "status": status,
            "type": "sensor",
            "count": done,
            "failed_count": len(failures),
            "message": f"Configured {done} item(s), {len(failures)} failed",
            "correlation_id": body["correlation_id"],
        }
        if failures:
            answer["failures"] = failures[:10]
        self._publish(Tail.CONFIG_RESPONSE, answer, exempt=True)
        return not failures

    def _configure_sensor(self, entry: Any, now: float) -> dict[str, Any] | None:
        """Take one entry in; what is wrong with it, or None."""
        if not isinstance(entry, dict):
            return _failure(0, 2010, "TYPE_MISMATCH", "entry is not an object")
        gpio = entry.get("gpio")
        if not isinstance(gpio, int | float) or isinstance(gpio, bool):
            return _failure(0, 2011, "MISSING_FIELD", "gpio")
        gpio = int(gpio) % 256
        kind, name = entry.get("sensor_type"), entry.get("sensor_name")
        if not isinstance(kind, str) or not isinstance(name, str):
            return _failure(gpio, 2011, "MISSING_FIELD", "sensor_type or sensor_name")
        kind = kind.lower()
        is_i2c = kind in I2C_TYPES or any(kind in values for values in I2C_TYPES.values())
        if not is_i2c and (gpio in RESERVED or gpio in I2C_PINS or gpio in self.memory.actuators):
            return _failure(gpio, 1002, "GPIO_CONFLICT", f"GPIO {gpio} already used")
        for value_type in I2C_TYPES.get(kind, (kind,)):
            sensor = Sensor(
                gpio=gpio,
                sensor_type=value_type,
                onewire_address=str(entry.get("onewire_address", "")),
                i2c_address=_integer(entry.get("i2c_address", 0x44)) if is_i2c else None,
                interval_s=_interval(entry.get("measurement_interval_seconds", 30)),
                mode=str(entry.get("operating_mode", "continuous")),
                subzone_id=str(entry.get("subzone_id", "")),
                next_due=now,
            )
            if entry.get("active", True) is False:
                self.memory.sensors.pop(sensor.identity, None)
            elif len(self.memory.sensors) >= MAX_SENSORS and (
                sensor.identity not in self.memory.sensors
            ):
                return _failure(gpio, 1041, "CONFIG_FAILED", "too many sensors")
            else:
                self.memory.sensors[sensor.identity] = sensor
        return None

    def _configure_actuators(self, entries: list[Any], body: dict[str, Any], now: float) -> bool:
        problems = 0
        for entry in entries:
            code = self._configure_actuator(entry, now)
            if code:
                problems += 1
                answer = {
                    "seq": self._next_seq(),
                    "status": "error",
                    "type": "actuator",
                    "count": 0,
                    "message": "Failed to configure actuator",
                    "error_code": code,
                    "failed_item": entry if isinstance(entry, dict) else {},
                    "correlation_id": body["correlation_id"],
                }
                self._publish(Tail.CONFIG_RESPONSE, answer, exempt=True)
        if not problems:
            answer = {
                "seq": self._next_seq(),
                "status": "success",
                "type": "actuator",
                "count": len(entries),
                "message": f"Configured {len(entries)} actuator(s)",
                "correlation_id": body["correlation_id"],
            }
            self._publish(Tail.CONFIG_RESPONSE, answer, exempt=True)
        return not problems

    def _configure_actuator(self, entry: Any, now: float) -> str:
        if not isinstance(entry, dict) or not isinstance(entry.get("gpio"), int):
            return "MISSING_FIELD"
        gpio = entry["gpio"]
        kind = entry.get("actuator_type", entry.get("type"))
        if kind not in {"pump", "relay", "pwm", "valve"}:
            return "UNKNOWN_ERROR"
        if entry.get("active", True) is False:
            self.memory.actuators.pop(gpio, None)
            return ""
        pins = {gpio}
        if kind == "valve":
            aux = entry.get("aux_gpio", 255)
            pins.add(gpio + 1 if aux == topics.NO_GPIO else aux)
        used = {s.gpio for s in self.memory.sensors.values() if s.i2c_address is None}
        if pins & (RESERVED | INPUT_ONLY | I2C_PINS | used):
            return "GPIO_CONFLICT"
        if gpio not in self.memory.actuators and len(self.memory.actuators) >= MAX_ACTUATORS:
            return "OUT_OF_RANGE"
        present = self.memory.actuators.get(gpio)
        actuator = present or Actuator(gpio, kind)
        actuator.kind = kind
        runtime_ms = _integer(entry.get("max_runtime_ms", 3_600_000))
        actuator.max_runtime_s = runtime_ms / 1000.0 if runtime_ms > 0 else actuator.max_runtime_s
        actuator.default_on = bool(entry.get("default_state", False))
        actuator.critical = bool(entry.get("critical", False))
        self.memory.actuators[gpio] = actuator
        self._status(actuator, now)
        return ""

    def _config_error(self, body: dict[str, Any], code: str, now: float) -> None:
        answer = {
            "seq": self._next_seq(),
            "status": "error",
            "type": "system",
            "count": 0,
            "message": code.replace("_", " ").lower(),
            "error_code": code,
            "correlation_id": body.get("correlation_id", f"fw_{self.device_id}_{int(now)}"),
        }
        self._publish(Tail.CONFIG_RESPONSE, answer, exempt=True)

    # ---- zone (14) and system commands (15)

    def _zone_assign(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        if body is None or budget.parse_cost(body) > budget.PARSE_BUDGET_BYTES[Tail.ZONE_ASSIGN]:
            error = {"esp_id": self.device_id, "status": "error", "ts": int(now),
                     "seq": self._next_seq(), "message": "parse error"}  # fmt: skip
            self._publish(Tail.ZONE_ACK, error, exempt=True)
            return
        memory = self.memory
        # What is missing becomes the text `null`: this is what hardware does.
        memory.zone_id = _text_or_null(body.get("zone_id"))
        memory.master_zone_id = _text_or_null(body.get("master_zone_id"))
        kaiser_id = _text_or_null(body.get("kaiser_id"))
        self.state = ZONE_CONFIGURED if memory.zone_id else PENDING_APPROVAL
        ack = {
            "esp_id": self.device_id,
            "status": "zone_assigned" if memory.zone_id else "zone_removed",
            "zone_id": memory.zone_id,
            "master_zone_id": memory.master_zone_id,
            "ts": int(now),
            "seq": self._next_seq(),
            "correlation_id": body.get("correlation_id", f"fw_{int(now * 1000)}"),
        }
        self._publish(Tail.ZONE_ACK, ack, exempt=True)
        memory.kaiser_id = kaiser_id or "god"
        self.next_heartbeat = now

    def _system_command(self, payload: bytes, now: float) -> None:
        body = _object(payload)
        if body is None or budget.parse_cost(body) > budget.PARSE_BUDGET_BYTES[Tail.SYSTEM_COMMAND]:
            self._system_reply({"command": "", "success": False, "error": "JSON_PARSE_ERROR"}, now)
            return
        verb = str(body.get("command", ""))
        blocked = self._blocked()
        if blocked and not (self.gate_open and verb in ALLOWED_WHILE_LIMITED):
            self._system_reply({"command": verb, "success": False, "error": blocked}, now)
            return
        memory = self.memory
        match verb:
            case "status" | "diagnostics":
                self._system_reply(
                    {
                        "command": verb,
                        "success": True,
                        "state": self.state,
                        "uptime": int(now - self.booted_at),
                        "heap_free": 141208,
                        "wifi_rssi": -58,
                        "sensor_count": len(memory.sensors),
                        "actuator_count": len(memory.actuators),
                        "zone_id": memory.zone_id,
                        "zone_assigned": bool(memory.zone_id),
                    },
                    now,
                )
            case "safe_mode":
                self._stop_everything(now)
                self._system_reply({"command": verb, "success": True, "message": "stopped"}, now)
            case "exit_safe_mode":
                self._begin_clear(body, now)
                self._system_reply({"command": verb, "success": True, "message": "cleared"}, now)
            case "set_emergency_token":
                kind = str(body.get("token_type", "esp"))
                memory.tokens[kind] = _text_or_null(body.get("token"))
                self._system_reply({"command": verb, "success": True, "token_type": kind}, now)
            case _:
                self._system_reply(
                    {"command": verb, "success": False, "error": "Unknown command"}, now
                )

    def _system_reply(self, body: dict[str, Any], now: float) -> None:
        answer = {"esp_id": self.device_id, **body, "ts": int(now), "seq": self._next_seq()}
        self._publish(Tail.SYSTEM_RESPONSE, answer, exempt=True)


def _commanded_level(actuator: Actuator, verb: str, value: float) -> float | None:
    """The level that a verb means for this kind of actuator (10.1); None when it is refused."""
    match verb:
        case "ON":
            return 1.0
        case "OFF":
            return 0.0
        case "TOGGLE":
            return 0.0 if actuator.level > 0 else 1.0
        case "PWM":
            if actuator.kind == "pwm":
                return min(max(value, 0.0), 1.0)
            if not 0.0 <= value <= 1.0:
                return None
            if actuator.kind == "valve":
                return 1.0 if value >= 0.66 else (0.5 if value >= 0.33 else 0.0)  # noqa: PLR2004
            return 1.0 if value >= 0.5 else 0.0  # noqa: PLR2004
        case _:
            return None


def _failure(gpio: int, code: int, error: str, detail: str) -> dict[str, Any]:
    return {"type": "sensor", "gpio": gpio, "error_code": code, "error": error, "detail": detail}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _integer(value: Any) -> int:
    """As the device reads an int with a default: floats, texts and what is too large are 0 (5.5)."""
    largest = 2_147_483_647
    if isinstance(value, int) and not isinstance(value, bool) and -largest <= value <= largest:
        return value
    return 0


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _interval(value: Any) -> float:
    seconds = _number(value)
    # Below a second only for tests that say so: the device itself clamps to 1 to 300.
    return min(max(seconds, 1.0), 300.0)


def _text_or_null(value: Any) -> str:
    return value if isinstance(value, str) else "null"
