"""The views that the recorder and the spool publish."""

from __future__ import annotations

from godkaiser.actors.message import Message
from godkaiser.domain.records.latency import Latencies


class RecorderView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/recorder as "view"; `warning` is for an administrator, and
    stays.
    """

    stored: int = 0
    spooled: int = 0
    duplicates: int = 0
    batches: int = 0
    waiting: int = 0
    last_commit_ms: float = 0.0
    stored_after: Latencies = Latencies()
    """Latency of the oldest reading of each group, from arrival to commit."""
    last_error: str = ""
    warning: str = ""
    behind_s: float = 0.0
    """How much later readings arrive than at best; they wait in the broker."""
    overload: str = ""
    """A warning while this delay is too long."""


class SpoolView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/spool as "view".

    `state`: idle (nothing waits), away (the database is unavailable), replaying, or blocked (the
    records cannot be replayed; `last_error` says why). `alarm` is 0, 50, 80 or 95 percent.
    `readings` and `journal` are the numbers of waiting records; `replayed` and `dropped` count
    since the process started.
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
