"""/zones and the zone and subzones of a device."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.registry.messages import ChangeDevice, RemoveSubzone, SaveSubzone
from godkaiser.actors.safety.messages import SwitchSafeMode
from godkaiser.domain.entities import DeviceRecord, Subzone
from godkaiser.errors.devices import (
    DeclaredInFile,
    DeviceOffline,
    InvalidGpio,
    InvalidZone,
    UnknownDevice,
    UnknownSubzone,
)
from godkaiser.errors.safety import EmergencyStopActive
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Entries, Example
from godkaiser.http.exchange import RequestBody, ask, device_view, issuer_of, read_body, reply
from godkaiser.http.services import Services

Text = Annotated[str, msgspec.Meta(max_length=64)]
Pin = Annotated[int, msgspec.Meta(ge=0, le=39)]


class ZoneBody(RequestBody, frozen=True, kw_only=True):
    zone_id: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    zone_name: Text = ""


class SubzoneBody(RequestBody, frozen=True, kw_only=True):
    gpios: Annotated[tuple[Pin, ...], msgspec.Meta(min_length=1, max_length=20)]
    name: Text = ""


class SafeModeBody(RequestBody, frozen=True, kw_only=True):
    enable: bool
    reason: Text = ""


class ZoneDevice(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    online: bool


class ZoneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A zone that a device is in; `zone_id` is empty for devices without a zone."""

    zone_id: str
    zone_name: str
    devices: list[ZoneDevice]


class PlacementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted; whether the device has it is its `placement_sync`."""

    device_id: str
    zone_id: str
    zone_name: str
    subzones: tuple[Subzone, ...]


class SafeModeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    subzone_id: str
    sent: bool


_DEVICE = "/esp/devices/{device_id}"
_SUBZONE = f"{_DEVICE}/subzones/{{subzone_id}}"
_REFUSALS = (UnknownDevice, DeclaredInFile)
_TANK = {"device_id": "MOCK_TANK01"}
_NORTH = {**_TANK, "subzone_id": "north"}
ENDPOINTS = (
    Endpoint("GET", "/zones", "zones", VIEWER, "List the zones with their devices.", Entries[ZoneAnswer]),
    Endpoint(
        "PUT", f"{_DEVICE}/zone", "zone", OPERATOR, "Put a device into a zone.", PlacementAnswer, 202,
        details="It is confirmed when `placement_sync` of the device says so.",
        body=ZoneBody, refuses=(*_REFUSALS, InvalidZone),
        examples=(Example({"zone_id": "greenhouse_b", "zone_name": "Greenhouse B"}, _TANK),),
    ),
    Endpoint(
        "DELETE", f"{_DEVICE}/zone", "zone", OPERATOR, "Take a device out of its zone; its subzones go, too.",
        PlacementAnswer, 202, refuses=_REFUSALS,
    ),
    Endpoint(
        "PUT", _SUBZONE, "subzone", OPERATOR, "Create or change a subzone: pins that go into safe mode together.",
        PlacementAnswer, 202, body=SubzoneBody, refuses=(*_REFUSALS, InvalidGpio),
        examples=(Example({"gpios": [25], "name": "North"}, _NORTH),),
    ),
    Endpoint(
        "DELETE", _SUBZONE, "subzone", OPERATOR, "Delete a subzone.", PlacementAnswer, 202,
        refuses=(*_REFUSALS, UnknownSubzone),
    ),
    Endpoint(
        "POST", f"{_SUBZONE}/safe-mode", "safe_mode", OPERATOR, "Put a subzone into safe mode, or take it out.",
        SafeModeAnswer, 202, details="A device answers only when it fails.",
        body=SafeModeBody, refuses=(UnknownDevice, UnknownSubzone, DeviceOffline, EmergencyStopActive),
        never_late=True, examples=(Example({"enable": True, "reason": "repair"}, _NORTH),),
    ),
)  # fmt: skip


class PlacementResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_zones(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every zone that a device is in, with its devices; those without a zone under ''."""
        system = self._services.system
        names: dict[str, str] = {}
        devices: dict[str, list[ZoneDevice]] = {}
        for path in system.children(paths.DEVICES):
            view = system.published_value(path, "view")
            if not isinstance(view, DeviceView):
                continue
            record = view.record
            names[record.zone_id] = names.get(record.zone_id) or record.zone_name
            devices.setdefault(record.zone_id, []).append(
                ZoneDevice(device_id=record.device_id, online=view.online)
            )
        found = [
            ZoneAnswer(zone_id=zone_id, zone_name=names[zone_id], devices=devices[zone_id])
            for zone_id in sorted(devices)
        ]
        reply(resp, Entries(data=found, count=len(found)))

    def on_put_zone(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        body = read_body(req, ZoneBody)
        self._change(req, resp, device_id, body.zone_id, body.zone_name)

    def on_delete_zone(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        self._change(req, resp, device_id, "", "")

    def _change(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, zone_id: str, name: str
    ) -> None:
        message = ChangeDevice(
            device_id=device_id, zone_id=zone_id, zone_name=name, issuer=issuer_of(req)
        )
        record = ask(self._services.system, paths.REGISTRAR, message)
        reply(resp, _placement(record), 202)

    def on_put_subzone(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, subzone_id: str
    ) -> None:
        body = read_body(req, SubzoneBody)
        subzone = Subzone(subzone_id=subzone_id, name=body.name, gpios=tuple(sorted(body.gpios)))
        message = SaveSubzone(device_id=device_id, subzone=subzone, issuer=issuer_of(req))
        record = ask(self._services.system, paths.REGISTRAR, message)
        reply(resp, _placement(record), 202)

    def on_delete_subzone(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, subzone_id: str
    ) -> None:
        message = RemoveSubzone(device_id=device_id, subzone_id=subzone_id, issuer=issuer_of(req))
        record = ask(self._services.system, paths.REGISTRAR, message)
        reply(resp, _placement(record), 202)

    def on_post_safe_mode(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, subzone_id: str
    ) -> None:
        body = read_body(req, SafeModeBody)
        device_view(self._services.system, device_id)
        message = SwitchSafeMode(
            device_id=device_id,
            subzone_id=subzone_id,
            enable=body.enable,
            reason=body.reason or "operator",
            issuer=issuer_of(req),
        )
        # Into safe mode always; out of it only if nothing forbids to energise there.
        judge = paths.device(device_id) if body.enable else paths.SAFETY
        ask(self._services.system, judge, message)
        answer = SafeModeAnswer(device_id=device_id, subzone_id=subzone_id, sent=True)
        reply(resp, answer, 202)


def _placement(record: DeviceRecord) -> PlacementAnswer:
    return PlacementAnswer(
        device_id=record.device_id,
        zone_id=record.zone_id,
        zone_name=record.zone_name,
        subzones=record.subzones,
    )
