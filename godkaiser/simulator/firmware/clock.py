"""The device's clock: set by NTP at boot, by the first acknowledgement, or not at all (contract,
5.2).
"""

from __future__ import annotations

from dataclasses import dataclass

EARLIEST, LATEST = 1.7e9, 2.5e9


@dataclass(slots=True)
class DeviceClock:
    """`error_s` is None while the clock is not set."""

    error_s: float | None = 0.0
    first_set_at: int = 0

    @property
    def valid(self) -> bool:
        return self.error_s is not None

    def unix(self, now: float) -> int:
        """The device's time in unix seconds; 0 while the clock is not set."""
        if self.error_s is None:
            return 0
        told = int(now + self.error_s)
        if not self.first_set_at:
            self.first_set_at = told
        return told

    def take_server_time(self, server_time: int, now: float) -> None:
        if self.error_s is None and EARLIEST <= server_time <= LATEST:
            self.error_s = server_time - now
