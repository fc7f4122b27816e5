"""Decisions about a device: its id, its approval, whether it is alive, what its ack says."""

from __future__ import annotations

import re

import msgspec

from godkaiser.domain.entities import Approval
from godkaiser.errors import InvalidDeviceId, InvalidTransition, InvalidZone

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
    """Raises InvalidZone; the empty zone is legal and means none."""
    if zone_id and not _ZONE_ID.match(zone_id):
        raise InvalidZone(zone_id=zone_id[:64])


def decide_approval(present: Approval, *, approved: bool) -> Approval:
    """The new approval. Raises InvalidTransition where there is nothing to decide."""
    wanted = Approval.APPROVED if approved else Approval.REJECTED
    if present is wanted:
        raise InvalidTransition(reason=f"The device is {present.value} already.")
    return wanted


def handover_epoch(active_epoch: int, announced_epoch: int) -> int:
    """What the ack must carry: the device's own epoch, the announced one, or 1 (contract, 6.6)."""
    if active_epoch > 0:
        return active_epoch
    return announced_epoch if announced_epoch > 0 else 1


class Liveness(msgspec.Struct, frozen=True):
    """What is known of a device's presence. Times are receive times, unix seconds."""

    online: bool = False
    last_seen: float | None = None
    uptime_s: int | None = None
    boots: int = 0

    def heartbeat(self, now: float, uptime_s: int) -> tuple[Liveness, bool]:
        """After a heartbeat, and whether the device has rebooted since the one before.

        A boot shows as an uptime that fell; the boot labels of the firmware repeat.
        """
        rebooted = self.uptime_s is not None and uptime_s < self.uptime_s
        return Liveness(True, now, uptime_s, self.boots + rebooted), rebooted

    def will(self, *, retained: bool) -> Liveness:
        """After a will. A retained one is old news: a device that is online stays so."""
        if retained and self.online:
            return self
        return msgspec.structs.replace(self, online=False)

    def tick(self, now: float, offline_after_s: float) -> Liveness:
        """As time passes: offline after `offline_after_s` without a heartbeat."""
        if self.online and self.last_seen is not None and now - self.last_seen > offline_after_s:
            return msgspec.structs.replace(self, online=False)
        return self
