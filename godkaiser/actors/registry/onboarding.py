"""Onboards devices that register by heartbeat: answers at once, then starts and saves them in
groups.
"""

from __future__ import annotations

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.router import DeviceMessage, UnknownDeviceSeen
from godkaiser.actors.message import Message
from godkaiser.actors.registry.site_config import SiteConfig
from godkaiser.domain.devices import devices
from godkaiser.domain.entities import Approval, DeviceRecord, Issuer
from godkaiser.errors.devices import InvalidDeviceId
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.protocol import codec, outbound
from godkaiser.protocol.errors import PayloadError
from godkaiser.storage.repositories import registry

SAVE_AGAIN_S = 5.0
SAVE_AFTER_S = 0.1
STARTED_AT_ONCE = 10
MOST_UNDECIDED = 2000
MOST_DEVICES = 20_000


class SaveUnsaved(Message, frozen=True, kw_only=True):
    """To the registrar itself: save devices that have registered, including those from a database
    outage.
    """


class StartAppeared(Message, frozen=True, kw_only=True):
    """To the registrar itself: start the actors of devices that were answered."""


class Onboarding:
    def __init__(
        self, site: SiteConfig, port: DevicePort, acks: AckPort, *, approve_unknown: bool
    ) -> None:
        self._site = site
        self._port = port
        self._acks = acks
        self._approve_unknown = approve_unknown
        self._unsaved: set[str] = set()
        self._appeared: list[DeviceMessage] = []

    def first_heartbeat(self, message: UnknownDeviceSeen) -> None:
        device_id = message.device_id
        if device_id not in self._site.devices:
            try:
                devices.validate_device_id(device_id)
                beat = codec.decode(message.first.topic, message.first.inbound.payload)
            except (InvalidDeviceId, PayloadError) as error:
                # Only a readable heartbeat registers a device.
                kind = error.reason if isinstance(error, PayloadError) else error.code
                self._site.context.reject(
                    message, f"no registration of {device_id}: {error}", kind=kind
                )
                received = message.first.inbound
                self._acks.acknowledge([(received.session, received.mid)])
                return
            approved = self._approve_unknown
            if self._is_crowded(approved=approved):
                detail = (
                    f"no registration of {device_id}: {MOST_UNDECIDED} devices wait for a decision"
                    f" already, or there are {MOST_DEVICES}. Reject or remove some."
                )
                self._site.context.reject(message, detail, kind="TOO_MANY_DEVICES")
                received = message.first.inbound
                self._acks.acknowledge([(received.session, received.mid)])
                return
            now = self._site.context.now()
            record = DeviceRecord(
                device_id=device_id,
                approval=Approval.APPROVED if approved else Approval.PENDING,
                registered_by="heartbeat",
                registered_at=now,
                # A device from another server keeps its zone.
                zone_id=devices.zone_or_none(getattr(beat, "zone_id", "")),
                decided_by="system:auto_approve" if approved else "",
                decided_at=now if approved else 0.0,
            )
            self._site.devices[device_id] = record
            # Answer the device, and those that wait behind it, before the database or a supervisor
            # is used: when a thousand boot together, none must count the gateway as dead.
            answered = self._answer(record, beat)
            self._appeared.append(msgspec.structs.replace(message.first, answered=answered))
            if len(self._appeared) == 1:
                self._site.context.own.tell(StartAppeared())
            self.save_soon(device_id)
            self._site.audit(Issuer("device", device_id), f"registered {device_id} by heartbeat")
            return
        handle = self._site.context.find(paths.device(device_id))
        received = message.first.inbound
        if handle is not None:
            handle.tell(message.first)
        elif received.qos:
            # Its actor is about to be started with the earlier heartbeat.
            self._acks.acknowledge([(received.session, received.mid)])

    def _is_crowded(self, *, approved: bool) -> bool:
        """Whether there are too many devices: the number of unregistered devices is bounded."""
        known = self._site.devices
        if len(known) < MOST_UNDECIDED:
            return False
        undecided = sum(record.approval is Approval.PENDING for record in known.values())
        return len(known) >= MOST_DEVICES or (not approved and undecided >= MOST_UNDECIDED)

    def _answer(self, record: DeviceRecord, beat: object) -> bool:
        epoch = devices.handover_epoch(getattr(beat, "active_handover_epoch", 0), 0)
        payload = outbound.heartbeat_ack(
            devices.ACK_STATUS[record.approval], epoch, self._site.context.now()
        )
        try:
            self._port.heartbeat_ack(record.device_id, payload)
        except NotConnected:
            return False
        return True

    def start_appeared(self) -> None:
        """Start a few of the new devices; the others follow after the waiting messages."""
        for first in self._appeared[:STARTED_AT_ONCE]:
            record = self._site.devices.get(first.topic.device_id)
            if record is not None:
                self._site.start_device(record)
                self._site.tell_device(record.device_id, first)
        del self._appeared[:STARTED_AT_ONCE]
        if self._appeared:
            self._site.context.own.tell(StartAppeared())

    def save_soon(self, device_id: str) -> None:
        if not self._unsaved:
            self._site.context.schedule(SAVE_AFTER_S, SaveUnsaved(), key="save")
        self._unsaved.add(device_id)

    def save_unsaved(self) -> None:
        """Save all at once: a thousand devices that boot together need one commit."""
        try:
            with self._site.database.transaction():
                for device_id in self._unsaved:
                    registry.save_device(self._site.database, self._site.devices[device_id])
        except DatabaseUnavailable:
            self._site.context.schedule(SAVE_AGAIN_S, SaveUnsaved(), key="save")
        else:
            self._unsaved.clear()
            self._site.tell_of_devices()

    def save_last(self) -> None:
        if self._unsaved:
            self.save_unsaved()

    def forget(self, device_id: str) -> None:
        self._unsaved.discard(device_id)

    def adopt_unsaved(self) -> None:
        """Take over devices that a crashed predecessor had registered but not saved."""
        for path in self._site.context.children(paths.DEVICES):
            view = self._site.context.look(path, "view")
            if isinstance(view, DeviceView) and view.record.device_id not in self._site.devices:
                self._site.devices[view.record.device_id] = view.record
                self.save_soon(view.record.device_id)
