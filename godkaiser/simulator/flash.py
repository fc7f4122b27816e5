"""A device's flash memory as a file, so that it also survives the simulator's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from godkaiser.simulator.firmware.memory import Actuator, Memory, Sensor, Subzone

_CONFIGURED = (
    "gpio", "kind", "max_runtime_s", "default_on", "default_pwm", "critical", "inverted",
    "aux_gpio", "subzone_id",
)  # fmt: skip
"""The stored fields of an actuator, without its level (contract, section 10.1)."""


class _Document(msgspec.Struct):
    approved: bool = False
    zone_id: str = ""
    master_zone_id: str = ""
    zone_name: str = ""
    kaiser_id: str = "god"
    sensors: list[Sensor] = []
    actuators: list[dict[str, Any]] = []
    subzones: list[Subzone] = []
    offline_rules: list[dict[str, Any]] = []
    generations: dict[str, int] = {}
    tokens: dict[str, str] = {}
    boot_count: int = 0
    log_level: str = "INFO"
    outcomes: list[dict[str, Any]] = []
    unfinished_configs: list[str] = []


_COPIED = tuple(
    name for name in _Document.__struct_fields__ if name not in {"sensors", "actuators", "subzones"}
)


class Flash:
    """Written only after a change; a file that cannot be read counts as empty flash."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._saved = b""

    def load(self) -> Memory | None:
        if self._file is None or not self._file.exists():
            return None
        try:
            document = msgspec.json.decode(self._file.read_bytes(), type=_Document)
            actuators = [Actuator(**fields) for fields in document.actuators]
        except (msgspec.DecodeError, TypeError):
            return None
        return Memory(
            **{name: getattr(document, name) for name in _COPIED},
            sensors={sensor.identity: sensor for sensor in document.sensors},
            actuators={actuator.gpio: actuator for actuator in actuators},
            subzones={subzone.subzone_id: subzone for subzone in document.subzones},
        )

    def save(self, memory: Memory) -> None:
        if self._file is None:
            return
        document = _Document(
            **{name: getattr(memory, name) for name in _COPIED},
            sensors=list(memory.sensors.values()),
            actuators=[
                {name: getattr(actuator, name) for name in _CONFIGURED}
                for actuator in memory.actuators.values()
            ],
            subzones=list(memory.subzones.values()),
        )
        body = msgspec.json.encode(document)
        if body == self._saved:
            return
        self._saved = body
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_bytes(body)
        draft.replace(self._file)
