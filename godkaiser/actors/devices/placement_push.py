"""Pushes a device's zone and subzones: one step at a time, each confirmed.

An unanswered step is sent again a few times; then the placement counts as failed until the
device returns or somebody changes it.
"""

from __future__ import annotations

import uuid

import msgspec

from godkaiser.domain.entities import DeviceRecord, Subzone
from godkaiser.mqtt.ports import DevicePort
from godkaiser.protocol import outbound
from godkaiser.protocol.inbound import PlacementAck

ANSWER_TIMEOUT_S = 15.0
BUSY_RETRY_S = 2.0
ATTEMPTS = 4
DONE = frozenset({"zone_assigned", "zone_removed", "subzone_assigned", "subzone_removed"})
ALREADY_GONE = "SUBZONE_NOT_FOUND"
LANE_BUSY = "CONFIG_LANE_BUSY"


class PlacementStep(msgspec.Struct, frozen=True):
    """`zone` assigns the zone of the record; the other kinds assign or remove a subzone."""

    kind: str
    subzone: Subzone | None = None
    name: str = ""


class PlacementPush:
    """`sync` is unknown, pending, in_sync or failed; `error` is the device's own message."""

    def __init__(self, port: DevicePort) -> None:
        self._port = port
        self.sync = "unknown"
        self.error = ""
        self._record: DeviceRecord | None = None
        self._safe_mode = False
        self._steps: list[PlacementStep] = []
        self._correlation_id = ""
        self._attempt = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._steps)

    def begin(
        self, record: DeviceRecord, reported_zone: str | None, *, safe_mode: bool = False
    ) -> None:
        """Start over. `reported_zone` is the zone that the device reports; None: not reported yet.

        With `safe_mode` its subzones are put into safe mode: no actuator may be energised there
        now.
        """
        self._record = record
        self._safe_mode = safe_mode
        self._steps = steps_of(record, reported_zone)
        self._attempt = 0
        self.error = ""
        self.sync = "pending" if self._steps else "in_sync"

    def send(self) -> float:
        """Send the next step; returns the seconds to wait for its answer, 0 if there is no step.

        Raises NotConnected.
        """
        if not self._steps or self._record is None:
            return 0.0
        self._attempt += 1
        if self._attempt > ATTEMPTS:
            self._fail(f"{self._steps[0].kind}: no answer after {ATTEMPTS} attempts")
            return 0.0
        self._correlation_id = str(uuid.uuid4())
        self._publish(self._record, self._steps[0])
        return ANSWER_TIMEOUT_S

    def _publish(self, record: DeviceRecord, step: PlacementStep) -> None:
        device_id = record.device_id
        if step.subzone is not None:
            self._port.subzone_assign(
                device_id, step.subzone, self._correlation_id, safe_mode=self._safe_mode
            )
        elif step.kind == "zone":
            payload = outbound.zone_assign(
                record.zone_id, record.zone_name, self._port.kaiser_id, self._correlation_id
            )
            self._port.zone_assign(device_id, payload)
        else:
            payload = outbound.subzone_remove(step.name, self._correlation_id)
            self._port.subzone_remove(device_id, payload)

    def answered(self, ack: PlacementAck) -> tuple[PlacementStep | None, float]:
        """Handle an answer; returns the finished step, if any, and the seconds until the next one."""
        # Old firmware sends no id; one step is under way at a time (contract, 14.2).
        if not self._steps or ack.correlation_id not in {"", self._correlation_id}:
            return None, -1.0
        step = self._steps[0]
        if ack.status in DONE or (step.kind == "remove" and ack.reason_code == ALREADY_GONE):
            self._steps.pop(0)
            self._attempt = 0
            if not self._steps:
                self.sync = "in_sync"
            return step, 0.0
        if ack.reason_code == LANE_BUSY and self._attempt < ATTEMPTS:
            return None, BUSY_RETRY_S
        code = ack.reason_code or ack.error_code or ""
        self._fail(f"{step.kind} {step.name}: {code} {ack.message}".replace("  ", " ").strip())
        return None, -1.0

    def give_up(self, reason: str) -> None:
        """The placement cannot be sent at all."""
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self._steps = []
        self.sync = "failed"
        self.error = reason


def steps_of(record: DeviceRecord, reported_zone: str | None) -> list[PlacementStep]:
    """The steps for a device, in order: the zone first, because subzones are parts of it."""
    steps = []
    if record.zone_set_by and reported_zone is not None and reported_zone != record.zone_id:
        steps.append(PlacementStep("zone", name=record.zone_id))
    steps += [PlacementStep("remove", name=name) for name in record.removed_subzones]
    if record.zone_id:
        steps += [PlacementStep("subzone", zone, zone.subzone_id) for zone in record.subzones]
    return steps
