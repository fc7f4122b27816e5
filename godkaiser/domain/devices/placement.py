"""Checks changes of a device's zone and subzones (contract, section 14)."""

from __future__ import annotations

import re

from godkaiser.domain.devices import gpio
from godkaiser.domain.entities import DeviceRecord, Subzone
from godkaiser.errors.base import ValidationFailed

MOST_SUBZONES = 8
_SUBZONE_ID = re.compile(r"[A-Za-z0-9_]{1,32}\Z")


def check_subzone(record: DeviceRecord, subzone: Subzone) -> None:
    """Raises ValidationFailed."""
    name = subzone.subzone_id
    if not _SUBZONE_ID.match(name):
        reason = (
            f"'{name[:40]}' is not a valid subzone id: use letters, digits and '_', at most 32."
        )
        raise ValidationFailed(reason=reason)
    if not record.zone_id:
        reason = f"{record.device_id} is in no zone, and a subzone is a part of a zone. Set its zone first."
        raise ValidationFailed(reason=reason)
    others = [other for other in record.subzones if other.subzone_id != name]
    if len(others) >= MOST_SUBZONES:
        reason = f"{record.device_id} has {MOST_SUBZONES} subzones, the maximum of a device."
        raise ValidationFailed(reason=reason)
    usable = gpio.board(record.board).usable
    wrong = [pin for pin in subzone.gpios if pin not in usable]
    if wrong or not subzone.gpios:
        what = f"GPIO {wrong[0]} cannot be used on {record.board}" if wrong else "it has no GPIOs"
        raise ValidationFailed(reason=f"subzone {name}: {what}. Usable: {sorted(usable)}.")
    for other in others:
        shared = sorted(set(other.gpios) & set(subzone.gpios))
        if shared:
            reason = f"subzone {name}: GPIO {shared[0]} belongs to subzone {other.subzone_id}."
            raise ValidationFailed(reason=reason)
