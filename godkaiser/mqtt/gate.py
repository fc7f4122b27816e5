"""The gate: decides which energising commands may still reach a device.

The safety actor clears each command for one actuator, one generation and a limited time. The last
moment at which a command can be withheld is the PUBREL of its QoS 2 handshake: the network thread
checks the gate there. A check reads a dictionary and some integers and takes no lock, so revoking
never waits for a network thread, and a network thread never waits for the safety actor.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from godkaiser.domain.safety.standing_orders import NOTHING_STANDS, Standing

Actuator = tuple[str, int]


class Fate(Enum):
    """The fate of a published command.

    WITHHELD: its PUBREL was never written and never will be. No device gets it.
    DELIVERED: the broker confirmed it (PUBCOMP, or PUBACK for QoS 1).
    LOST: the connection ended after it may have been released. It may still reach the device.
    """

    WITHHELD = "withheld"
    DELIVERED = "delivered"
    LOST = "lost"


FateListener = Callable[[Fate], None]
"""Called exactly once for each published command, in a network thread: it must not block."""


class ClearanceExpired(Exception):
    """The clearance is revoked, superseded, too old, forged, or for another actuator."""


class Clearance(msgspec.Struct, frozen=True, eq=False):
    """Permission to energise one actuator once, for a limited time.

    Only an object made by `CommandGate.clear` is valid: the gate compares identities.
    """

    device_id: str
    gpio: int
    generation: int
    epochs: tuple[int, int]
    expires_at: float


class CommandGate:
    """Only the safety actor holds and changes the gate; `is_current` may be called in any thread.

    Times are seconds of the monotonic clock that is passed in.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._epoch = 0
        self._device_epochs: dict[str, int] = {}
        self._generations: dict[Actuator, int] = {}
        self._current: dict[Actuator, Clearance] = {}
        self._standing: dict[str, Standing] = {}

    def clear(self, device_id: str, gpio: int, generation: int, expires_at: float) -> Clearance:
        """Make `generation` the current one of this actuator: all its other clearances end.

        A clearance for an older generation than the newest is never current.
        """
        actuator = (device_id, gpio)
        epochs = (self._epoch, self._device_epochs.get(device_id, 0))
        clearance = Clearance(device_id, gpio, generation, epochs, expires_at)
        if generation >= self._generations.get(actuator, generation):
            self._generations[actuator] = generation
            self._current[actuator] = clearance
        return clearance

    def supersede(self, device_id: str, gpio: int, generation: int) -> None:
        """End every clearance of this actuator that is older than `generation`, the generation of
        an OFF.
        """
        actuator = (device_id, gpio)
        if generation < self._generations.get(actuator, generation):
            return
        self._generations[actuator] = generation
        current = self._current.get(actuator)
        if current is not None and current.generation < generation:
            del self._current[actuator]

    def revoke_all(self) -> None:
        """End all clearances, and all permissions of devices to act alone, in one step, whatever
        their number.
        """
        self._epoch += 1
        self._standing = {}

    def revoke(self, device_id: str) -> None:
        """End all clearances of this device, and its permissions to act alone."""
        self._device_epochs[device_id] = self._device_epochs.get(device_id, 0) + 1
        self._standing.pop(device_id, None)

    def allow_standing(self, device_id: str, standing: Standing) -> None:
        """Set what this device may energise by itself from now on."""
        self._standing[device_id] = standing

    def standing(self, device_id: str) -> Standing:
        return self._standing.get(device_id, NOTHING_STANDS)

    def is_current(self, clearance: Clearance) -> bool:
        """Whether the command that was cleared may reach its device now."""
        device_id = clearance.device_id
        return (
            self._current.get((device_id, clearance.gpio)) is clearance
            and clearance.epochs == (self._epoch, self._device_epochs.get(device_id, 0))
            and self._monotonic() < clearance.expires_at
        )
