"""The health of a device from its heartbeats: the newest one, the reboots, and whether two boards
send them.
"""

from __future__ import annotations

from collections import deque

import structlog

from godkaiser.domain.devices import devices
from godkaiser.domain.devices.twin_boards import SenderBoard, TwinBoards
from godkaiser.protocol import inbound

DAY_S = 86_400.0

log = structlog.get_logger("godkaiser.devices")


class VitalSigns:
    """Used by one device actor. Times are monotonic."""

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id
        self._boots: deque[float] = deque(maxlen=50)
        self._twins = TwinBoards()
        self.heartbeat: inbound.Heartbeat | None = None

    def heard(self, beat: inbound.Heartbeat, now: float) -> bool:
        """Whether two boards send heartbeats under this id."""
        self.heartbeat = beat
        was_found = self._twins.pair(now) is not None
        board = SenderBoard(beat.wifi_ip, beat.boot_sequence_id, beat.uptime)
        self._twins = self._twins.heard(board, now)
        pair = self._twins.pair(now)
        if pair is not None and not was_found:
            log.error(
                "two_boards_with_one_id",
                device=self._device_id,
                one=str(pair[0]),
                other=str(pair[1]),
                remedy="give one of them another id, or switch it off",
            )
        return pair is not None

    def booted(self, at: float) -> None:
        self._boots.append(at)

    def vitals(self, now: float, *, online: bool) -> devices.Vitals:
        beat = self.heartbeat
        return devices.Vitals(
            online=online,
            wifi_rssi=None if beat is None else beat.wifi_rssi,
            heap_free=None if beat is None else beat.heap_free,
            reboots_last_day=sum(at > now - DAY_S for at in self._boots),
            degraded=beat is not None and beat.runtime_state_degraded,
            persistence_degraded=beat is not None and beat.persistence_degraded,
            twins=" and ".join(map(str, self._twins.pair(now) or ())),
        )
