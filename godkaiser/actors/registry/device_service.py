"""An operator's work on devices: register, approve, place, change and remove them."""

from __future__ import annotations

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceRemoved, UninstallActuator, UpdateDevice
from godkaiser.actors.registry.messages import (
    ChangeDevice,
    DecideApproval,
    RegisterDevice,
    RemoveDevice,
    RemoveSubzone,
    SaveSubzone,
)
from godkaiser.actors.registry.onboarding import Onboarding
from godkaiser.actors.registry.site_config import ASK_TIMEOUT_S, SiteConfig
from godkaiser.domain.devices import devices, gpio, placement
from godkaiser.domain.entities import DeviceRecord, Issuer, RemovedEntry
from godkaiser.domain.records.digests import device_digest, is_seen
from godkaiser.errors.base import ChangedMeanwhile
from godkaiser.errors.devices import DuplicateDevice, UnknownSubzone
from godkaiser.storage.repositories import registry
from godkaiser.supervision import StopChild


class DeviceService:
    def __init__(self, site: SiteConfig, onboarding: Onboarding) -> None:
        self._site = site
        self._onboarding = onboarding

    def register(self, message: RegisterDevice) -> DeviceRecord:
        devices.validate_device_id(message.device_id)
        devices.validate_zone_id(message.zone_id)
        gpio.board(message.board)
        if message.device_id in self._site.devices:
            raise DuplicateDevice(device_id=message.device_id)
        record = DeviceRecord(
            device_id=message.device_id,
            name=message.name,
            board=message.board,
            zone_id=message.zone_id,
            zone_set_by=str(message.issuer) if message.zone_id else "",
            registered_by=str(message.issuer),
            registered_at=self._site.context.now(),
        )
        registry.save_device(self._site.database, record)
        self._site.devices[record.device_id] = record
        self._site.start_device(record)
        self._site.tell_of_devices()
        self._site.audit(message.issuer, f"registered {record.device_id}")
        return record

    def decide(self, message: DecideApproval) -> DeviceRecord:
        record = self._site.known(message.device_id)
        self._site.refuse_declared(message.device_id, message.device_id)
        approval = devices.decide_approval(record.approval, approved=message.approved)
        record = msgspec.structs.replace(
            record,
            approval=approval,
            decided_by=str(message.issuer),
            decided_at=self._site.context.now(),
            reason=message.reason,
        )
        registry.save_device(self._site.database, record)
        self._site.devices[record.device_id] = record
        self._site.tell_device(record.device_id, UpdateDevice(record=record))
        self._site.tell_of_devices()
        self._site.audit(message.issuer, f"{approval.value} {record.device_id}", message.reason)
        return record

    def change_device(self, message: ChangeDevice) -> DeviceRecord:
        record = self._site.known(message.device_id)
        self._site.refuse_declared(message.device_id, message.device_id)
        if not is_seen(message.seen, device_digest(record)):
            raise ChangedMeanwhile(what=record.device_id)
        if message.zone_id is not None:
            devices.validate_zone_id(message.zone_id)
            record = msgspec.structs.replace(
                record, zone_id=message.zone_id, zone_set_by=str(message.issuer)
            )
            if not message.zone_id:
                # A device without a zone has no subzones: it deletes them by itself (14.1).
                record = msgspec.structs.replace(record, subzones=(), removed_subzones=())
        if message.zone_name is not None:
            record = msgspec.structs.replace(record, zone_name=message.zone_name)
        if message.name is not None:
            record = msgspec.structs.replace(record, name=message.name)
        if message.board is not None and message.board != record.board:
            self._check_board(record, message.board)
            record = msgspec.structs.replace(record, board=message.board)
        return self._keep_record(record, message.issuer, "changed")

    def _check_board(self, record: DeviceRecord, board: str) -> None:
        """Raises InvalidGpio, GpioConflict if the configuration does not fit that board."""
        gpio.board(board)
        for sensor in self._site.sensors.get(record.device_id, {}).values():
            users = self._site.pin_users(record.device_id, without=sensor.key)
            gpio.check_sensor(board, sensor, users)
        for actuator in self._site.actuators.get(record.device_id, {}).values():
            users = self._site.pin_users(record.device_id, without=actuator.key)
            gpio.check_actuator(board, actuator, users)

    def save_subzone(self, message: SaveSubzone) -> DeviceRecord:
        record = self._site.known(message.device_id)
        placement.check_subzone(record, message.subzone)
        others = tuple(s for s in record.subzones if s.subzone_id != message.subzone.subzone_id)
        record = msgspec.structs.replace(
            record,
            subzones=(*others, message.subzone),
            removed_subzones=tuple(
                name for name in record.removed_subzones if name != message.subzone.subzone_id
            ),
        )
        what = f"subzone {message.subzone.subzone_id} of"
        return self._keep_record(record, message.issuer, what)

    def remove_subzone(self, message: RemoveSubzone) -> DeviceRecord:
        record = self._site.known(message.device_id)
        left = tuple(s for s in record.subzones if s.subzone_id != message.subzone_id)
        if len(left) == len(record.subzones):
            raise UnknownSubzone(device_id=record.device_id, subzone_id=message.subzone_id[:40])
        record = msgspec.structs.replace(
            record,
            subzones=left,
            removed_subzones=(*record.removed_subzones, message.subzone_id),
        )
        return self._keep_record(record, message.issuer, f"removed subzone {message.subzone_id} of")

    def _keep_record(self, record: DeviceRecord, issuer: Issuer, what: str) -> DeviceRecord:
        registry.save_device(self._site.database, record)
        self._site.devices[record.device_id] = record
        self._site.tell_device(record.device_id, UpdateDevice(record=record))
        self._site.audit(issuer, f"{what} {record.device_id}")
        return record

    def forgotten(
        self, device_id: str, *, subzone_id: str = "", entries: tuple[RemovedEntry, ...] = ()
    ) -> None:
        """The device has confirmed a deletion, so it need not be told again."""
        record = self._site.devices.get(device_id)
        if record is None:
            return
        left = msgspec.structs.replace(
            record,
            removed=tuple(entry for entry in record.removed if entry not in entries),
            removed_subzones=tuple(n for n in record.removed_subzones if n != subzone_id),
        )
        if left != record:
            self._site.devices[device_id] = left
            self._onboarding.save_soon(device_id)
            self._site.tell_device(device_id, UpdateDevice(record=left))

    def remove_device(self, message: RemoveDevice) -> None:
        device_id = message.device_id
        record = self._site.known(device_id)
        self._site.refuse_declared(device_id, device_id)
        if not is_seen(message.seen, device_digest(record)):
            raise ChangedMeanwhile(what=device_id)
        for key in self._site.sensors.get(device_id, {}):
            self._site.refuse_used((key.esp_id, key.gpio, key.sensor_type), f"sensor {key.gpio}")
        for actuator in self._site.actuators.get(device_id, {}).values():
            self._site.refuse_used(
                (device_id, actuator.gpio), f"actuator {device_id}/{actuator.gpio}"
            )
        for actuator in self._site.actuators.get(device_id, {}).values():
            self._site.safety.ask(UninstallActuator(key=actuator.key), timeout_s=ASK_TIMEOUT_S)
        registry.delete_device(self._site.database, device_id)
        self._site.devices.pop(device_id, None)
        self._onboarding.forget(device_id)
        self._site.sensors.pop(device_id, None)
        self._site.actuators.pop(device_id, None)
        self._site.context.handle(paths.DEVICES).ask(StopChild(device_id), timeout_s=ASK_TIMEOUT_S)
        self._site.safety.tell(DeviceRemoved(device_id=device_id))
        self._site.tell_of_devices()
        self._site.audit(message.issuer, f"removed {device_id}")
