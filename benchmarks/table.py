"""A row of a result: what, ours, the floor beside it, and what was to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`target` in words; `reached` None where the row only informs."""

    what: str
    ours: float
    unit: str
    floor: float | None = None
    target: str = ""
    reached: bool | None = None

    @property
    def ratio(self) -> float | None:
        return None if not self.floor else self.ours / self.floor


def percentile(values: Sequence[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def show(rows: Sequence[Row]) -> str:
    lines = ["| what | ours | floor | ratio | target | reached |", "|---|---|---|---|---|---|"]
    for row in rows:
        floor = "" if row.floor is None else f"{row.floor:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        reached = "" if row.reached is None else ("yes" if row.reached else "NO")
        lines.append(
            f"| {row.what} | {row.ours:,.2f} {row.unit} | {floor} | {ratio} | {row.target}"
            f" | {reached} |"
        )
    return "\n".join(lines)
