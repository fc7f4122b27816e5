"""The firmware build of a simulated device: differences between builds (contract, 3.3 and 25.14)."""

from __future__ import annotations

from dataclasses import dataclass

from godkaiser.simulator.firmware.pins import ESP32_WROOM, XIAO_C3, Board


@dataclass(frozen=True, slots=True)
class Personality:
    """`largest_packet` in bytes; None: only the limits that all builds have."""

    name: str
    board: Board = ESP32_WROOM
    publishes_qos: bool = True
    announces: bool = True
    splits_metrics: bool = True
    tells_queue_pressure: bool = True
    offline_buffer: int = 0
    largest_packet: int | None = None
    needs_token: bool = False
    gated: bool = True
    correlates: bool = True


ESP_IDF = Personality("esp_idf")
PRODUCTION = Personality("esp32_prod", needs_token=True)
PUBSUB = Personality(
    "pubsub",
    board=XIAO_C3,
    publishes_qos=False,
    announces=False,
    splits_metrics=False,
    tells_queue_pressure=False,
    offline_buffer=25,
    largest_packet=1024,
)
D25 = Personality(
    "d25", announces=False, splits_metrics=False, tells_queue_pressure=False, gated=False,
    correlates=False,
)  # fmt: skip
"""December 2025: no ack needed, a heartbeat of ten fields, no correlation, no outcomes."""
