"""Sensors: reading, timing and messages (contract, sections 8, 9 and 5.5)."""

from __future__ import annotations

from typing import Any

from godkaiser.protocol import budget
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing, states
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.lanes import Lane
from godkaiser.simulator.firmware.memory import Sensor
from godkaiser.simulator.firmware.outcomes import Intent, Outcomes

QUEUED_COMMANDS = 20
STORED_ZERO_S = 5.0
FAILURES_TO_BREAK, PROBE_S = 10, 300.0
CACHE_AGE_S = 300.0
DISCONNECTED_RAW, POWER_ON_RAW = -2032, 1360
ADC_LOW, ADC_HIGH = 50, 4045
DS18B20_RANGE = (-55.0, 125.0)
TIMEOUT_MS = (1, 60_000, 5000)


def preview(sensor_type: str, raw: int) -> tuple[float, str]:
    """The device's own value and unit: right for DS18B20 and SHT31 only (9.2, 9.3)."""
    match sensor_type:
        case "ds18b20":
            return raw * 0.0625, "°C"
        case "sht31_temp":
            return -45.0 + 175.0 * raw / 65535.0, "°C"
        case "sht31_humidity":
            return 100.0 * raw / 65535.0, "%"
        case "bmp280_pressure" | "bme280_pressure":
            return raw / 100.0, "hPa"
        case "bmp280_temp" | "bme280_temp":
            return raw / 100.0, "°C"
        case "bme280_humidity":
            return raw / 100.0, "%"
        case _:
            return float(raw), "raw"


class Sensors:
    """`driven` overrides the physics with a raw value, by (gpio, value type); None: the read fails."""

    def __init__(self, core: Core, outcomes: Outcomes) -> None:
        self._core = core
        self._outcomes = outcomes
        self.lane = Lane(core, outcomes, QUEUED_COMMANDS)
        self.driven: dict[tuple[int, str], int | None] = {}
        self._seen: set[tuple[Any, ...]] = set()
        self._cache: dict[tuple[int, str], tuple[float, float]] = {}
        self.valid_since_offline: dict[tuple[int, str], int] = {}

    @property
    def all(self) -> list[Sensor]:
        return list(self._core.memory.sensors.values())

    def cached(self, gpio: int, sensor_type: str) -> float | None:
        """The device's own value for offline rules; None if it is older than five minutes."""
        value, at = self._cache.get((gpio, sensor_type), (0.0, -CACHE_AGE_S - 1.0))
        return value if self._core.now - at <= CACHE_AGE_S else None

    def tick(self) -> None:
        self.lane.work()
        now = self._core.now
        for sensor in self.all:
            if sensor.mode == "continuous" and now >= sensor.next_due:
                self._read(sensor)

    def _read(self, sensor: Sensor) -> tuple[bool, bool, int | None, str]:
        """Read one entry and publish its values: measured, published, first raw, its quality.

        A chip with several entries is read once for all of them (9.1).
        """
        now = self._core.now
        entries = [sensor]
        if sensor.chip:
            entries = [
                s for s in self.all
                if (s.gpio, s.i2c_address, s.chip) == (sensor.gpio, sensor.i2c_address, sensor.chip)
            ]  # fmt: skip
        for entry in entries:
            entry.next_due = now + (entry.interval_s or STORED_ZERO_S)
        measured = [(kind, self._raw(sensor, kind)) for kind in sensor.values]
        good = [(kind, raw) for kind, raw in measured if raw is not None]
        if len(good) < len(measured):
            self._failed(entries, sensor)
            return False, False, None, ""
        for entry in entries:
            entry.failures = 0
        published = [self._tell(sensor, kind, raw) for kind, raw in good]
        return True, all(published), good[0][1], self._quality(good[0][0], good[0][1])

    def _raw(self, sensor: Sensor, kind: str) -> int | None:
        if (sensor.gpio, kind) in self.driven:
            raw = self.driven[sensor.gpio, kind]
        elif (
            not sensor.chip
            and kind != "ds18b20"
            and (sensor.gpio in self._core.personality.board.adc2)
        ):
            raw = 0
        else:
            raw = self._core.read_raw(kind)
        if kind == "ds18b20":
            if raw == DISCONNECTED_RAW:
                return None
            if raw == POWER_ON_RAW and sensor.identity not in self._seen:
                # If the first reading is the power-on value, read again (8.1).
                raw = self._core.read_raw(kind)
            self._seen.add(sensor.identity)
        return raw

    def _failed(self, entries: list[Sensor], sensor: Sensor) -> None:
        for entry in entries:
            entry.failures += 1
            if entry.failures >= FAILURES_TO_BREAK:
                entry.next_due = self._core.now + PROBE_S
        code = 1060 if sensor.sensor_type == "ds18b20" else 1040
        self._core.error(code, f"{sensor.sensor_type} sensor fault on GPIO {sensor.gpio}")

    @staticmethod
    def _quality(kind: str, raw: int) -> str:
        value, unit = preview(kind, raw)
        if unit == "raw":
            return "good" if ADC_LOW <= raw <= ADC_HIGH else "suspect"
        if kind == "ds18b20":
            low, high = DS18B20_RANGE
            return "good" if low <= value <= high else "suspect"
        return "good"

    def _tell(self, sensor: Sensor, kind: str, raw: int) -> bool:
        """Section 8.1: one message for each value."""
        core = self._core
        value, unit = preview(kind, raw)
        key = (sensor.gpio, kind)
        self._cache[key] = (value, core.now)
        self.valid_since_offline[key] = self.valid_since_offline.get(key, 0) + 1
        body: dict[str, Any] = {
            "esp_id": core.device_id,
            "seq": core.next_seq(),
            "zone_id": core.memory.zone_id,
            "subzone_id": sensor.subzone_id,
            "gpio": sensor.gpio,
            "sensor_type": kind,
            "raw": raw,
            "value": round(value, 2),
            "unit": unit,
            "quality": self._quality(kind, raw),
            "ts": core.unix,
            "time_valid": core.clock.valid,
            "raw_mode": sensor.raw_mode,
        }
        if not core.personality.correlates:
            del body["time_valid"]
        if sensor.onewire_address:
            body["onewire_address"] = sensor.onewire_address
        if sensor.i2c_address is not None:
            body["i2c_address"] = sensor.i2c_address
        return core.publish(Tail.SENSOR_DATA, body, sensor.gpio)

    # ---- measure on demand (8.2, 8.3)

    def command(self, gpio: int, payload: bytes) -> None:
        core = self._core
        body = parsing.parse(payload, budget.PARSE_BUDGET_BYTES[Tail.SENSOR_COMMAND])
        intent = self._outcomes.intent(body, "sensor")
        if body is None:
            self._outcomes.tell("command", intent, "rejected", "INVALID_JSON")
            return
        blocked = states.blocks_command(core.state, gate_open=core.outbox.gate_open)
        if not blocked and body.get("command") != "measure":
            blocked = "UNKNOWN_COMMAND"
        if not blocked and self.lane.is_full:
            blocked = "QUEUE_FULL"
        if blocked:
            self._outcomes.tell("command", intent, "rejected", blocked)
            return
        self._outcomes.tell("command", intent, "accepted", "COMMAND_ACCEPTED")
        self.lane.add("command", intent, lambda: self._measure(gpio, body, intent))
        self.lane.work()

    def _measure(self, gpio: int, body: dict[str, Any], intent: Intent) -> None:
        least, most, default = TIMEOUT_MS
        timeout_ms = min(max(parsing.integer(body.get("timeout_ms"), default), least), most)
        late = self._core.now - intent.arrived > timeout_ms / 1000.0
        entries = [s for s in self.all if s.gpio == gpio]
        measured = published = False
        raw, quality, reason = None, "", "SENSOR_NOT_FOUND"
        read: set[tuple[str, int | None]] = set()
        for sensor in () if late else entries:
            if sensor.chip and (sensor.chip, sensor.i2c_address) in read:
                continue
            read.add((sensor.chip, sensor.i2c_address))
            measured, published, first, rated = self._read(sensor)
            raw, quality = (first, rated) if raw is None else (raw, quality)
            reason = "NONE" if published else "PUBLISH_SKIPPED"
            reason = reason if measured else "MEASUREMENT_FAILED"
        if late:
            reason = "MEASURE_TIMEOUT"
        success = measured and published
        if "request_id" in body:
            answer: dict[str, Any] = {
                "request_id": parsing.text(body["request_id"]),
                "gpio": gpio,
                "command": "measure",
                "success": success,
                "measurement_ok": measured,
                "publish_ok": published,
                "timeout": late,
                "reason_code": reason,
                "quality": quality or "unknown",
                "sensor_type": entries[0].sensor_type if entries else "",
                "raw": 0 if raw is None else raw,
                "ts": self._core.unix,
                "seq": self._core.next_seq(),
                "intent_id": intent.intent_id,
                "correlation_id": intent.correlation_id,
                "ttl_ms": intent.ttl_ms,
            }
            self._core.publish(Tail.SENSOR_RESPONSE, answer, gpio)
        ended = "expired" if late else ("applied" if success else "failed")
        self._outcomes.tell("command", intent, ended, reason)
