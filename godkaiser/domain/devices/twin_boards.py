"""Detects two boards with the same device id, by their alternating heartbeats; pure.

The broker lets only one of them be connected, so each disconnects the other, for ever, and every
heartbeat looks like a reboot. Times are monotonic.
"""

from __future__ import annotations

import msgspec

UPTIME_TOLERANCE_S = 30.0
"""A heartbeat may have been delayed this long, and devices count in whole seconds."""
TURNS = 3
"""Changes of address that prove two boards: one board may get a new address, but not alternate."""
MEMORY_S = 600.0
"""After this time without a further sign, one of the two boards is gone."""


class SenderBoard(msgspec.Struct, frozen=True):
    """The data in a heartbeat about the board that sent it."""

    address: str
    boot: str
    uptime_s: int

    def __str__(self) -> str:
        return f"{self.address or 'an unknown address'} (boot {self.boot or 'unknown'})"


class TwinBoards(msgspec.Struct, frozen=True):
    newest: SenderBoard | None = None
    newest_at: float = 0.0
    before: SenderBoard | None = None
    before_at: float = 0.0
    turns: int = 0
    seen_at: float | None = None

    def heard(self, board: SenderBoard, now: float) -> TwinBoards:
        """The state after a heartbeat."""
        newest, before = self.newest, self.before
        if newest is None:
            return TwinBoards(board, now)
        is_in_step = _is_in_step(newest, self.newest_at, board, now)
        if is_in_step and not _differ(board.address, newest.address):
            return msgspec.structs.replace(self, newest=board, newest_at=now)
        turns, seen_at = 0, self.seen_at
        if (
            before is not None
            and _is_in_step(before, self.before_at, board, now)
            and not _differ(board.address, before.address)
        ):
            # The board is the same as before and has not rebooted: so the newest heartbeat was from
            # another board, or, if the uptimes agree, from this one with another address.
            turns = self.turns + 1
            if not is_in_step or turns >= TURNS:
                seen_at = now
        return TwinBoards(board, now, newest, self.newest_at, turns, seen_at)

    def pair(self, now: float) -> tuple[SenderBoard, SenderBoard] | None:
        """The two boards, while the evidence is recent."""
        if self.seen_at is None or now - self.seen_at > MEMORY_S:
            return None
        if self.newest is None or self.before is None:
            return None
        return self.before, self.newest


def _is_in_step(one: SenderBoard, heard_at: float, other: SenderBoard, now: float) -> bool:
    """Whether both uptimes may belong to one board that has not rebooted in between."""
    expected_s = one.uptime_s + (now - heard_at)
    return abs(expected_s - other.uptime_s) <= UPTIME_TOLERANCE_S


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)
