"""What the recorder and the spool publish for everybody to read."""

from __future__ import annotations

from godkaiser.actors.message import Message
from godkaiser.domain.records.latency import Latencies


class RecorderView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/recorder as "view"; `warning` is for an admin, and stays."""

    stored: int = 0
    spooled: int = 0
    duplicates: int = 0
    batches: int = 0
    waiting: int = 0
    last_commit_ms: float = 0.0
    stored_after: Latencies = Latencies()
    """Of the oldest of each group: from its arrival to its commit."""
    last_error: str = ""
    warning: str = ""
    behind_s: float = 0.0
    """How much later readings arrive than at their best; the broker keeps them meanwhile."""
    overload: str = ""
    """What to tell while that is too much."""


class SpoolView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/spool as "view".

    `state`: idle (nothing waits), away (the database takes nothing), replaying, or blocked (what
    waits cannot be replayed; `last_error` says why). `alarm` is 0, 50, 80 or 95 percent. `readings`
    and `journal` are records that wait; `replayed` and `dropped` count since the process started.
    """

    state: str = "idle"
    bytes: int = 0
    max_bytes: int = 0
    percent: float = 0.0
    alarm: int = 0
    readings: int = 0
    journal: int = 0
    replayed: int = 0
    dropped: int = 0
    last_error: str = ""
