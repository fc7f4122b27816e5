"""Decisions about a device: id, approval, liveness, acknowledgement of heartbeats."""

from __future__ import annotations

import re

import msgspec

from godkaiser.domain.entities import Approval
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.devices import InvalidDeviceId, InvalidZone

_DEVICE_ID = re.compile(r"(ESP_[A-F0-9]{6,8}|MOCK_[A-Z0-9]{1,26})\Z")
_ZONE_ID = re.compile(r"[a-z0-9_-]{1,32}\Z")

ACK_STATUS = {
    Approval.PENDING: "pending_approval",
    Approval.APPROVED: "online",
    Approval.REJECTED: "rejected",
}


def validate_device_id(device_id: str) -> None:
    """Raises InvalidDeviceId."""
    if not _DEVICE_ID.match(device_id):
        raise InvalidDeviceId(device_id=device_id[:64])


def validate_zone_id(zone_id: str) -> None:
    """Raises InvalidZone; the empty zone is valid and means none."""
    if zone_id and not _ZONE_ID.match(zone_id):
        raise InvalidZone(zone_id=zone_id[:64])


def zone_or_none(zone_id: str) -> str:
    """The zone that a device reports if its name is valid; else none."""
    return zone_id if _ZONE_ID.match(zone_id) else ""


def decide_approval(present: Approval, *, approved: bool) -> Approval:
    """The new approval. Raises InvalidTransition if the device is already in that state."""
    wanted = Approval.APPROVED if approved else Approval.REJECTED
    if present is wanted:
        raise InvalidTransition(reason=f"The device is already {present.value}.")
    return wanted


def handover_epoch(active_epoch: int, announced_epoch: int) -> int:
    """The epoch for the ack: the device's own, the announced one, or 1 (contract, 6.6)."""
    if active_epoch > 0:
        return active_epoch
    return announced_epoch if announced_epoch > 0 else 1


HEARD_EVERY_S = 5.0
"""How often a device that sends all the time is recorded as seen."""


UPTIME_TOLERANCE_S = 15.0
"""A heartbeat may have been delayed this long, and devices count in whole seconds."""


class Liveness(msgspec.Struct, frozen=True):
    """The liveness of a device. `last_seen` is unix seconds, for display; `heard_at` and `beat_at`
    are monotonic; all are times of receipt.
    """

    online: bool = False
    last_seen: float | None = None
    heard_at: float | None = None
    uptime_s: int | None = None
    beat_at: float | None = None
    boots: int = 0

    def heartbeat(self, now: float, uptime_s: int, wall: float = 0.0) -> tuple[Liveness, bool]:
        """The state after a heartbeat, and whether the device has rebooted since the last one.

        A reboot shows as an uptime that fell, or that grew much less than the elapsed time; the
        boot labels of the firmware cannot be used, because they repeat.
        """
        rebooted = False
        if self.uptime_s is not None:
            elapsed_s = 0.0 if self.beat_at is None else max(now - self.beat_at, 0.0)
            expected_s = self.uptime_s + elapsed_s - UPTIME_TOLERANCE_S
            rebooted = uptime_s < max(expected_s, self.uptime_s)
        return Liveness(
            online=True,
            last_seen=wall,
            heard_at=now,
            beat_at=now,
            uptime_s=uptime_s,
            boots=self.boots + rebooted,
        ), rebooted

    def heard(self, now: float, wall: float = 0.0) -> Liveness:
        """The state after a fresh message of any kind: the device is online.

        A restarted gateway would otherwise wait a minute for each device's next heartbeat.
        """
        if self.online and self.heard_at is not None and now - self.heard_at < HEARD_EVERY_S:
            return self
        return msgspec.structs.replace(self, online=True, last_seen=wall, heard_at=now)

    def will(self, *, retained: bool) -> Liveness:
        """The state after a last will. A retained one is old: an online device stays online."""
        if retained and self.online:
            return self
        return msgspec.structs.replace(self, online=False)

    def tick(self, now: float, offline_after_s: float) -> Liveness:
        """The state as time passes: offline after `offline_after_s` without a heartbeat."""
        if not self.online or self.heard_at is None:
            return self
        if now - self.heard_at <= offline_after_s:
            return self
        return msgspec.structs.replace(self, online=False)


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """A device's reports about itself; None if not reported (old firmware reports less)."""

    online: bool
    wifi_rssi: int | None = None
    heap_free: int | None = None
    reboots_last_day: int = 0
    degraded: bool = False
    persistence_degraded: bool = False
    twins: str = ""


WEAK_RSSI_DBM = -75
POOR_RSSI_DBM = -85
LOW_HEAP_BYTES = 40_000
SCARCE_HEAP_BYTES = 20_000
COST_OF_A_REBOOT = 10
MOST_FOR_REBOOTS = 40


def health_score(vitals: Vitals) -> int:
    """0 (gone) to 100 (no problem): an indication for a person; no decision depends on it.

    Simulators send an RSSI of 0, so 0 counts as not reported.
    """
    if not vitals.online:
        return 0
    return max(100 - sum(cost for cost, _ in _complaints(vitals)), 1)


def health_reasons(vitals: Vitals) -> tuple[str, ...]:
    """The reasons that lower the score, as text."""
    if not vitals.online:
        return ("offline",)
    return tuple(reason for _, reason in _complaints(vitals))


def _complaints(vitals: Vitals) -> list[tuple[int, str]]:
    found = []
    if vitals.twins:
        found.append((60, f"two boards use this id: {vitals.twins}"))
    if vitals.reboots_last_day > 0:
        cost = min(COST_OF_A_REBOOT * vitals.reboots_last_day, MOST_FOR_REBOOTS)
        found.append((cost, f"rebooted {vitals.reboots_last_day} times in the last day"))
    if vitals.degraded:
        found.append((30, "not operational: configuration or approval is missing"))
    if vitals.persistence_degraded:
        found.append((10, "its flash memory differs from its working state"))
    if vitals.wifi_rssi:
        cost = _step(vitals.wifi_rssi, WEAK_RSSI_DBM, POOR_RSSI_DBM)
        found.append((cost, f"weak Wi-Fi ({vitals.wifi_rssi} dBm)"))
    if vitals.heap_free is not None:
        cost = _step(vitals.heap_free, LOW_HEAP_BYTES, SCARCE_HEAP_BYTES)
        found.append((cost, f"little memory ({vitals.heap_free} bytes)"))
    return [(cost, reason) for cost, reason in found if cost]


def _step(value: int, low: int, very_low: int) -> int:
    """The points that a low value costs."""
    if value < very_low:
        return 25
    return 10 if value < low else 0
