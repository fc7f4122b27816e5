"""`system/diagnostics`: at most once a minute, after a significant change (contract, 17.1)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import states
from godkaiser.simulator.firmware.core import HEAP_FREE, WIFI_RSSI, Core

EVERY_S = 60.0


class Diagnostics:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._next = core.now + EVERY_S
        self._told: tuple[Any, ...] = ()

    def tick(self) -> None:
        core = self._core
        if core.now < self._next or not core.outbox.passes(Tail.DIAGNOSTICS):
            return
        significant = (
            core.state,
            core.errors,
            len(core.memory.sensors),
            len(core.memory.actuators),
        )
        if significant == self._told or core.publish(Tail.DIAGNOSTICS, self._body()):
            self._told = significant
            self._next = core.now + EVERY_S

    def _body(self) -> dict[str, Any]:
        core = self._core
        uptime_s = int(core.uptime_s)
        return {
            # Seconds since boot, not unix time, as in the firmware.
            "ts": uptime_s,
            "esp_id": core.device_id,
            "heap_free": HEAP_FREE,
            "heap_min_free": 120_144,
            "heap_fragmentation": 14,
            "uptime_seconds": uptime_s,
            "error_count": core.errors,
            "wifi_connected": True,
            "wifi_rssi": WIFI_RSSI,
            "mqtt_connected": True,
            "sensor_count": len(core.memory.sensors),
            "actuator_count": len(core.memory.actuators),
            "system_state": states.NAMES[core.state],
            "boot_reason": core.reset_reason,
            "boot_sequence_id": core.boot_label,
            "reset_reason": core.reset_reason,
            "segment_start_ts": core.clock.first_set_at,
            "mqtt_cb_state": "CLOSED",
            "mqtt_cb_failures": 0,
            "wdt_mode": "PRODUCTION",
            "wdt_timeouts_24h": 0,
            "wdt_timeout_pending": False,
            "metrics_schema_version": 1,
            "storage_namespace_conflict_count": 0,
            "storage_no_session_access_count": 0,
            "hist_not_found_expected_count": 3,
            "hist_not_found_unexpected_count": 0,
        }
