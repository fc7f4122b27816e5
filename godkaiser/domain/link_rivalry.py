"""Two gateways with the same client ids: decides how long each one pauses; pure.

Without pauses, each of them would reconnect at once and disconnect the other, for ever. So each
pause is longer than the last one, with a random part; then devices have one gateway for most of the
time, until somebody reads the log. Times are monotonic.
"""

from __future__ import annotations

import msgspec

FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 300.0
CALM_S = 600.0
"""After this time connected without a takeover, the rival counts as gone."""


class Rivalry(msgspec.Struct, frozen=True):
    """`times`: how often in a row another client has taken one of our ids."""

    times: int = 0
    connected_at: float | None = None

    def connected(self, now: float) -> Rivalry:
        return Rivalry(self.times, now)

    def taken_over(self, now: float) -> Rivalry:
        is_calm = self.connected_at is not None and now - self.connected_at >= CALM_S
        return Rivalry(1 if is_calm else self.times + 1)

    def pause_s(self, chance: float) -> float:
        """Seconds until the next attempt, 0 without a rival; `chance` from 0 to 1."""
        if not self.times or self.connected_at is not None:
            return 0.0
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self.times - 1, 10))
        return pause_s * (1.0 + chance)
