"""The past of a sensor under another calibration; pure.

The raw value of every reading is kept, so what it meant can be said again. A run goes forward in
time, a batch after the other, and stands at `position` after each.
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
    """`state`: running, done, cancelled or failed. Times in unix seconds; `end` is not included.

    `before` is the calibration that held until now: what a device said of its reading is known from
    the difference.
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
    """What of the batch reads otherwise now."""
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
    """Only the rating is stored: where it is worse than the number deserved, the device said so."""
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
