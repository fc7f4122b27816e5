"""/zones and the zone and subzones of a device."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.registry.messages import ChangeDevice, RemoveSubzone, SaveSubzone
from godkaiser.actors.safety.messages import SwitchSafeMode
from godkaiser.domain.entities import DeviceRecord, Subzone
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


class PlacementResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_zones(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every zone that a device is in, with its devices; those without a zone under ''."""
        system = self._services.system
        zones: dict[str, dict[str, Any]] = {}
        for path in system.children(paths.DEVICES):
            view = system.published_value(path, "view")
            if not isinstance(view, DeviceView):
                continue
            record = view.record
            zone = zones.setdefault(
                record.zone_id, {"zone_id": record.zone_id, "zone_name": "", "devices": []}
            )
            zone["zone_name"] = zone["zone_name"] or record.zone_name
            zone["devices"].append({"device_id": record.device_id, "online": view.online})
        found = [zones[name] for name in sorted(zones)]
        reply(resp, {"data": found, "count": len(found)})

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
        reply(resp, self._placement(record), 202)

    def on_put_subzone(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, subzone_id: str
    ) -> None:
        body = read_body(req, SubzoneBody)
        subzone = Subzone(subzone_id=subzone_id, name=body.name, gpios=tuple(sorted(body.gpios)))
        message = SaveSubzone(device_id=device_id, subzone=subzone, issuer=issuer_of(req))
        record = ask(self._services.system, paths.REGISTRAR, message)
        reply(resp, self._placement(record), 202)

    def on_delete_subzone(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, subzone_id: str
    ) -> None:
        message = RemoveSubzone(device_id=device_id, subzone_id=subzone_id, issuer=issuer_of(req))
        record = ask(self._services.system, paths.REGISTRAR, message)
        reply(resp, self._placement(record), 202)

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
        reply(resp, {"device_id": device_id, "subzone_id": subzone_id, "sent": True}, 202)

    def _placement(self, record: DeviceRecord) -> dict[str, Any]:
        """What is wanted; whether the device has it is in its view."""
        return {
            "device_id": record.device_id,
            "zone_id": record.zone_id,
            "zone_name": record.zone_name,
            "subzones": msgspec.to_builtins(record.subzones),
        }
