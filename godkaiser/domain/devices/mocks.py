"""Mock ESPs: simulated devices beside the real ones, for trials by an administrator."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Annotated

import msgspec

from godkaiser.errors.devices import DuplicateMock, InvalidMockId, TooManyMocks

MOST_MOCKS = 100
PREFIX = "MOCK_"
_MOCK_ID = re.compile(r"MOCK_[A-Z0-9]{1,26}\Z")
Chance = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class MockFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a mock fails. Chances are per message, in both directions; `brown_out` is a reboot while
    a message is handled.

    `clock_off` leaves its clock unset from its next boot on, until the gateway tells the time.
    """

    drop: Chance = 0.0
    delay_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 0.0
    duplicate: Chance = 0.0
    reorder: Chance = 0.0
    brown_out: Chance = 0.0
    offline: bool = False
    clock_off: bool = False


class DrivenValue(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a mock's sensor, in its own unit; None: the read fails."""

    gpio: int
    sensor_type: str
    value: float | None


class MockRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored mock; it survives restarts. `created_at` in unix seconds."""

    mock_id: str
    created_by: str
    created_at: float
    faults: MockFaults = MockFaults()
    values: tuple[DrivenValue, ...] = ()

    def driven(self, value: DrivenValue) -> MockRecord:
        """A copy with this value for its sensor."""
        others = (
            v for v in self.values if (v.gpio, v.sensor_type) != (value.gpio, value.sensor_type)
        )
        return msgspec.structs.replace(self, values=(*others, value))


def check_new(mock_id: str, present: Collection[str]) -> None:
    """Raises InvalidMockId, DuplicateMock, TooManyMocks."""
    if not _MOCK_ID.match(mock_id):
        raise InvalidMockId(mock_id=mock_id[:64])
    if mock_id in present:
        raise DuplicateMock(mock_id=mock_id)
    if len(present) >= MOST_MOCKS:
        raise TooManyMocks(most=MOST_MOCKS)


def orphans(device_ids: Iterable[str], mocks: Collection[str]) -> tuple[str, ...]:
    """Devices that are named like a mock although no such mock exists (any more), in order."""
    return tuple(
        sorted(name for name in device_ids if name.startswith(PREFIX) and name not in mocks)
    )
