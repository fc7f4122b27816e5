"""Recomputes stored values with the new calibration; pure.

The raw value of every reading is stored, so its value can be computed again. A run goes forward in
time, in batches, and records its `position` after each.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from godkaiser.domain.entities import Calibration, Quality, SensorKey
from godkaiser.domain.sensors.sensors import convert, is_worse

FLAGGED = frozenset({Quality.SUSPECT, Quality.POOR, Quality.BAD, Quality.ERROR})

Position = tuple[int, int]
"""Milliseconds and content key of a stored reading: its place within its series."""


class RawReading(msgspec.Struct, frozen=True):
    """A stored reading; `position` within its series."""

    position: Position
    raw: float
    value: float | None
    quality: str


class Changed(msgspec.Struct, frozen=True):
    position: Position
    value: float | None
    quality: str


class Recalculation(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: running, done, cancelled or failed. Times in unix seconds; `end` is excluded.

    `before` is the calibration before this run: the difference shows which rating came from the
    device itself.
    """

    key: SensorKey
    calibration: Calibration | None
    before: Calibration | None
    start: float
    end: float
    total: int
    by: str
    started_at: float
    position: Position = (0, -1)
    done: int = 0
    changed: int = 0
    state: str = "running"
    ended_at: float | None = None
    result: str = ""


def recalculated(run: Recalculation, batch: Iterable[RawReading]) -> list[Changed]:
    """The readings of the batch whose value or rating changes."""
    kind = run.key.sensor_type
    changes = []
    for row in batch:
        at = row.position[0] / 1000.0
        said = _said_by_device(kind, row, run.before, at)
        found = convert(kind, row.raw, run.calibration, said, at)
        if (found.value, found.quality.value) != (row.value, row.quality):
            changes.append(Changed(row.position, found.value, found.quality.value))
    return changes


def _said_by_device(kind: str, row: RawReading, before: Calibration | None, at: float) -> str:
    """The device's own rating: it caused a stored rating that is worse than the number explains."""
    stored = Quality(row.quality)
    deserved = convert(kind, row.raw, before, at=at).quality
    return "suspect" if stored in FLAGGED and is_worse(stored, deserved) else "good"


def after_batch(
    run: Recalculation, batch: list[RawReading], changes: int, *, is_last: bool, now: float
) -> Recalculation:
    run = msgspec.structs.replace(
        run,
        position=batch[-1].position if batch else run.position,
        done=run.done + len(batch),
        changed=run.changed + changes,
    )
    return ended(run, "done", now) if is_last else run


def ended(run: Recalculation, state: str, now: float, result: str = "") -> Recalculation:
    return msgspec.structs.replace(
        run,
        state=state,
        ended_at=now,
        result=result or f"{run.changed} of {run.done} readings changed",
    )
