"""The simulated machine under the gateway: its clocks, and the moments that it takes."""

from __future__ import annotations

import msgspec

from godkaiser.supervision import Chances, SimulatedRuntime
from tests.safety.world import gateway_in_world

EPOCH = 1_700_000_000.0
DROWSY_S = 0.4
LINGERS_S = (0.0005, 0.003, 0.02, 0.2)


class WorldRuntime(SimulatedRuntime):
    """One process of the gateway: a restart of the process goes on with the machine's clock."""

    def __init__(
        self, seed: int, chances: Chances, *, began: float, boot: int, wall_offset: float
    ) -> None:
        # The drowsiness of the simulation goes on to the next timer, which may be far away.
        awake = msgspec.structs.replace(chances, drowsy=0.0)
        super().__init__(seed, awake, may_crash=gateway_in_world.may_crash)
        self.drowsy = chances.drowsy
        self._clock = began
        self._boot = f"boot {boot}"
        self._wall = EPOCH + wall_offset

    def boot_id(self) -> str:
        return self._boot

    def calm(self) -> None:
        super().calm()
        self.drowsy = 0.0

    def linger(self) -> bool:
        """Whether something else has taken its time while an actor writes to a socket; time has passed."""
        if not self._strikes(self.chances.interrupt):
            return False
        self._clock += self._schedule.choice(LINGERS_S)
        return True

    def step(self, deadline: float) -> bool:
        """Now and then the machine is busy with something else for a moment."""
        if self._ready and self._schedule.random() < self.drowsy:
            self._clock = min(self._clock + self._schedule.random() * DROWSY_S, deadline)
            self._fire_due()
        return super().step(deadline)
