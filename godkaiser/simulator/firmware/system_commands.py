"""System commands and their replies, which have no uniform shape (contract, section 15)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.core import HEAP_FREE, WIFI_IP, WIFI_RSSI, Core
from godkaiser.simulator.firmware.emergency import Emergency
from godkaiser.simulator.firmware.outcomes import Outcomes
from godkaiser.simulator.firmware.registration import config_status

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LONGEST_TOKEN = 64
MOST_FOUND = 10
RESET_DELAY_S = 3.0


class SystemCommands:
    """`reset_at` is when the device reboots by itself. `bus` are the ROM codes on the OneWire bus."""

    def __init__(self, core: Core, outcomes: Outcomes, emergency: Emergency) -> None:
        self._core = core
        self._outcomes = outcomes
        self._emergency = emergency
        self._onewire_pin = core.personality.board.onewire
        self.reset_at: float | None = None
        self.bus: dict[int, list[str]] = {}

    def command(self, payload: bytes) -> None:
        core = self._core
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[Tail.SYSTEM_COMMAND])
        intent = self._outcomes.intent(body, "sys")
        if body is None:
            code = "JSON_PARSE_ERROR"
            self._reply({
                "command": "", "success": False, "error": code, "reason_code": code,
                "message": "Failed to parse system command",
                "correlation_id": intent.correlation_id,
            })  # fmt: skip
            return
        verb = parsing.text(body.get("command"))
        blocked = states.blocks_system_command(core.state, verb, gate_open=core.outbox.gate_open)
        limited = core.state == states.PENDING_APPROVAL or core.state in states.DEGRADED
        if blocked:
            self._outcomes.tell("command", intent, "rejected", blocked)
            self._reply({
                "command": verb, "success": False, "error": blocked, "reason_code": blocked,
                # The firmware always says this, whatever the state is.
                "state": states.NAMES[states.CONFIG_PENDING],
            })  # fmt: skip
            return
        if limited:
            code = states.accepted_code(core.state, config=False)
            self._outcomes.tell("command", intent, "accepted", code)
        self._run(verb, body)
        if limited:
            self._outcomes.tell("command", intent, "applied", "NONE")

    def _run(self, verb: str, body: dict[str, Any]) -> None:
        match verb:
            case "status":
                self._reply({"command": verb, "success": True, **self._vitals()})
            case "diagnostics":
                self._reply(self._diagnostics())
            case "get_config":
                self._reply(self._config())
            case "set_log_level":
                self._set_log_level(_parameter(body, "level"))
            case "safe_mode":
                self._emergency.stop()
                self._reply({"command": verb, "success": True, "message": "Safe mode activated"})
            case "exit_safe_mode":
                # Reply success even if the clear is refused: the firmware ignores the result.
                self._emergency.clear(self._outcomes.intent(body, "sys"))
                self._reply({"command": verb, "success": True, "message": "Safe mode deactivated"})
            case "onewire/scan":
                self._scan(_parameter(body, "pin"))
            case "set_emergency_token":
                self._set_token(body)
            case "factory_reset" if body.get("confirm") is True:
                self._factory_reset()
            case _:
                self._reply({"command": verb, "success": False, "error": "Unknown command"})

    def _vitals(self) -> dict[str, Any]:
        core, memory = self._core, self._core.memory
        return {
            "state": core.state,
            "uptime": int(core.uptime_s),
            "heap_free": HEAP_FREE,
            "wifi_rssi": WIFI_RSSI,
            "sensor_count": len(memory.sensors),
            "actuator_count": len(memory.actuators),
            "zone_id": memory.zone_id,
            "zone_assigned": bool(memory.zone_id),
        }

    def _diagnostics(self) -> dict[str, Any]:
        core = self._core
        return {
            "command": "diagnostics",
            "success": True,
            **self._vitals(),
            "heap_min": 120_144,
            "chip_model": "ESP32-D0WDQ6",
            "chip_revision": 1,
            "flash_size": 4_194_304,
            "sdk_version": "v4.4.6",
            "wifi_ssid": "simulated",
            "wifi_ip": WIFI_IP,
            "wifi_mac": "24:0A:C4:" + ":".join(_pairs(core.device_id[-6:])),
            "master_zone_id": core.memory.master_zone_id,
            "kaiser_id": core.memory.kaiser_id,
            "boot_count": core.memory.boot_count,
            "config_status": config_status(core),
        }

    def _config(self) -> dict[str, Any]:
        memory = self._core.memory
        return {
            "command": "get_config",
            "success": True,
            "zone": {
                "zone_id": memory.zone_id,
                "master_zone_id": memory.master_zone_id,
                "zone_name": memory.zone_name,
                "kaiser_id": memory.kaiser_id,
                "zone_assigned": bool(memory.zone_id),
            },
            # Empty by design of the firmware.
            "sensors": [],
            "sensor_count": len(memory.sensors),
            "actuators": [],
            "actuator_count": len(memory.actuators),
        }

    def _set_log_level(self, level: Any) -> None:
        if level not in LOG_LEVELS:
            self._reply({
                "success": False, "error": "Invalid log level",
                "message": f"Use one of {', '.join(LOG_LEVELS)}",
                "requested_level": parsing.text_or_null(level),
            }, esp_id=False)  # fmt: skip
            return
        self._core.memory.log_level = level
        self._reply({
            "command": "set_log_level", "success": True, "level": level,
            "message": "Log level changed", "persisted": True,
        })  # fmt: skip

    def _set_token(self, body: dict[str, Any]) -> None:
        kind = body.get("token_type", "esp")
        # A missing token stores the text `null`, as on the hardware.
        token = parsing.text_or_null(body.get("token"))
        answer: dict[str, Any] = {"command": "set_emergency_token"}
        if kind not in {"esp", "broadcast"} or not 0 < len(token) <= LONGEST_TOKEN:
            self._reply({**answer, "success": False, "error": "Invalid token or token_type"})
            return
        self._core.memory.tokens[kind] = token
        self._reply({**answer, "success": True, "token_type": kind, "message": "Token stored"})

    def _scan(self, wanted: Any) -> None:
        """Section 15.3; the scan moves the bus to that pin."""
        core = self._core
        pin = parsing.integer(wanted, self._onewire_pin)
        if core.personality.board.refuses(pin, {}):
            error = {"error": "Pin not usable for OneWire", "requested_pin": pin}
            self._bare({**error, "active_pin": self._onewire_pin})
            return
        self._onewire_pin = pin
        configured = [
            s.onewire_address for s in core.memory.sensors.values()
            if s.gpio == pin and s.onewire_address
        ]  # fmt: skip
        found = self.bus.get(pin, configured)[:MOST_FOUND]
        if not found:
            core.error(1021, f"No OneWire devices on GPIO {pin}", 1)
            self._bare({"error": "No OneWire devices found", "pin": pin})
            return
        devices = [{"rom_code": r.upper(), "device_type": "ds18b20", "pin": pin} for r in found]
        result = {"devices": devices, "found_count": len(found), "seq": core.next_seq()}
        core.publish(Tail.ONEWIRE_SCAN_RESULT, result)
        answer = {"command": "onewire/scan", "status": "ok", "found_count": len(found), "pin": pin}
        self._bare(answer)

    def _factory_reset(self) -> None:
        core = self._core
        self._bare({"status": "factory_reset_initiated", "esp_id": core.device_id})
        memory = core.memory
        memory.zone_id = memory.master_zone_id = memory.zone_name = ""
        self.reset_at = core.now + RESET_DELAY_S

    def _reply(self, body: dict[str, Any], *, esp_id: bool = True) -> None:
        core = self._core
        head = {"esp_id": core.device_id} if esp_id else {}
        echoed = {**body, **head, "ts": core.unix, "seq": core.next_seq()}
        core.publish(Tail.SYSTEM_RESPONSE, echoed)

    def _bare(self, body: dict[str, Any]) -> None:
        """Some replies add only a sequence number."""
        self._core.publish(Tail.SYSTEM_RESPONSE, {**body, "seq": self._core.next_seq()})


def _parameter(body: dict[str, Any], name: str) -> Any:
    """`level` and `pin` are looked up under `params`, too."""
    nested = body.get("params")
    if name not in body and isinstance(nested, dict):
        return nested.get(name)
    return body.get(name)


def _pairs(text: str) -> list[str]:
    return [text[i : i + 2] for i in range(0, len(text), 2)]
