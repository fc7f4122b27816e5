"""The state that all parts of one simulated device share from one boot to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import states
from godkaiser.simulator.firmware.clock import DeviceClock
from godkaiser.simulator.firmware.memory import Memory
from godkaiser.simulator.firmware.outbox import Outbox
from godkaiser.simulator.personality import Personality

RESET_CODES = {
    "UNKNOWN": 0, "POWERON": 1, "EXT": 2, "SW": 3, "PANIC": 4, "INT_WDT": 5, "TASK_WDT": 6,
    "WDT": 7, "DEEPSLEEP": 8, "BROWNOUT": 9, "SDIO": 10,
}  # fmt: skip
ERROR_SLOTS, ERROR_THROTTLE_S = 32, 60.0
CATEGORIES = {1: "HARDWARE", 2: "SERVICE", 3: "COMMUNICATION", 4: "APPLICATION"}
HEAP_FREE, WIFI_RSSI, WIFI_IP = 141_208, -58, "192.168.10.41"


@dataclass(slots=True)
class Core:
    """`now` is the time of the current call, unix seconds; `read_raw` reads from the physics."""

    device_id: str
    memory: Memory
    personality: Personality
    read_raw: Callable[[str], int | None]
    now: float
    booted_at: float
    reset_reason: str
    clock: DeviceClock
    outbox: Outbox
    state: int = states.PENDING_APPROVAL
    mode: str = "ONLINE"
    active_epoch: int = 0
    completed_epoch: int = 0
    safety_epoch: int = 0
    seq: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    _invented: int = 0
    _error_slots: dict[int, float] = field(default_factory=dict)

    @property
    def unix(self) -> int:
        return self.clock.unix(self.now)

    @property
    def uptime_s(self) -> float:
        return self.now - self.booted_at

    @property
    def uptime_ms(self) -> int:
        return int(self.uptime_s * 1000)

    @property
    def boot_label(self) -> str:
        code = RESET_CODES.get(self.reset_reason, 0)
        return f"{self.device_id}-b{self.memory.boot_count}-r{code}"

    def next_seq(self) -> int:
        """Counted when a payload is built, even if it is never sent (section 5.3)."""
        self.seq += 1
        return self.seq

    def invent(self, prefix: str) -> str:
        """Make an id if the sender gave none (section 5.4)."""
        self._invented += 1
        return f"{prefix}_{self.uptime_ms}_{self._invented}"

    def publish(self, tail: Tail, body: dict[str, Any], gpio: int | None = None) -> bool:
        if not self.personality.correlates:
            body = {k: v for k, v in body.items() if k not in {"seq", "correlation_id"}}
        return self.outbox.put(self.memory.kaiser_id, tail, body, gpio)

    def error(self, code: int, message: str, severity: int = 2) -> None:
        """Section 17.2: one slot for all codes with the same remainder, one message a minute for
        each slot, and none in the first minute of uptime.
        """
        self.errors += 1
        slot = code % ERROR_SLOTS
        if self.now - self._error_slots.get(slot, self.booted_at) < ERROR_THROTTLE_S:
            return
        self._error_slots[slot] = self.now
        body = {
            "error_code": code,
            "severity": severity,
            "category": CATEGORIES.get(code // 1000, "UNKNOWN"),
            "message": message,
            "context": {"esp_id": self.device_id, "uptime_ms": self.uptime_ms},
            "ts": self.unix,
        }
        self.publish(Tail.ERROR, body)
