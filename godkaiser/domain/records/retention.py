"""Retention: the periods, and the progress of a run; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

DAY_S = 86_400.0


class RetentionRun(msgspec.Struct, frozen=True, kw_only=True):
    """`bounds` are pairs of a kind and the time (unix seconds) before which it is deleted, in turn,
    a batch each; `removed` counts deleted rows, or in a dry run the rows that would be deleted.
    """

    dry_run: bool
    bounds: tuple[tuple[str, float], ...]
    removed: dict[str, int] = {}
    batches: int = 0

    @property
    def current(self) -> tuple[str, float] | None:
        """The next entry of `bounds`; None at the end."""
        return self.bounds[0] if self.bounds else None


def plan(kept_days: Mapping[str, float], now: float, *, dry_run: bool) -> RetentionRun:
    """`kept_days`: for how many days each kind of record is kept; 0 is for ever."""
    bounds = tuple((kind, now - DAY_S * kept) for kind, kept in kept_days.items() if kept > 0)
    return RetentionRun(dry_run=dry_run, bounds=bounds)


def after_batch(run: RetentionRun, count: int, batch_size: int) -> RetentionRun:
    """The run after a batch that removed `count` rows; a short batch was the last one of its kind."""
    assert run.bounds
    current, *others = run.bounds
    kind = current[0]
    is_last = run.dry_run or count < batch_size
    return msgspec.structs.replace(
        run,
        removed={**run.removed, kind: run.removed.get(kind, 0) + count},
        batches=run.batches + 1,
        bounds=tuple(others) if is_last else (*others, current),
    )


def summary(run: RetentionRun) -> str:
    if not run.bounds and not run.removed:
        return "nothing to remove: every period in [retention] is 0"
    counts = ", ".join(f"{count} {kind}" for kind, count in run.removed.items())
    verb = "would be removed" if run.dry_run else "removed"
    return f"{counts} {verb}"
