"""/esp: devices as they are registered, approved, changed and shown."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.registry.messages import (
    ChangeDevice,
    DecideApproval,
    RegisterDevice,
    RemoveDevice,
)
from godkaiser.domain.entities import Approval, DeviceRecord, Subzone
from godkaiser.domain.records.digests import device_digest
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.devices import (
    DeclaredInFile,
    DuplicateDevice,
    GpioConflict,
    InvalidDeviceId,
    InvalidGpio,
    InvalidZone,
    StillInUse,
    UnknownDevice,
)
from godkaiser.errors.safety import CommandRefused
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import ADMIN, OPERATOR, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    device_view,
    issuer_of,
    read_body,
    reply,
)
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import flag, sorted_by, text
from godkaiser.http.resources.sensors.sensors import SensorAnswer, published_by, sensor_answer
from godkaiser.http.services import Services

Text = Annotated[str, msgspec.Meta(max_length=100)]
BENCH = "ESP_4F3A9C"


class RegisterBody(RequestBody, frozen=True, kw_only=True):
    device_id: str
    name: Text = ""
    board: str = "esp32_wroom"
    zone_id: str = ""


class DeviceBody(RequestBody, frozen=True, kw_only=True):
    """What is not given stays as it is; for the zone there is an address of its own."""

    name: Text | None = None
    board: str | None = None


class DecisionBody(RequestBody, frozen=True, kw_only=True):
    reason: Text = ""


class DeviceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A device: what is wanted of it, and what it has told. Null: it has not told yet.

    `config_sync` and `placement_sync` say whether it has the configuration and the zone that are wanted.
    `health` is 0 to 100. `reported_zone` is what the device believes.
    """

    device_id: str
    name: str
    status: Approval
    online: bool
    zone_id: str
    board: str
    last_seen: float | None
    uptime_s: int | None
    heap_free: int | None
    wifi_rssi: int | None
    ip: str
    firmware_state: int | None
    sensor_count: int | None
    actuator_count: int | None
    config_sync: str
    config_error: str
    zone_name: str
    reported_zone: str | None
    subzones: tuple[Subzone, ...]
    placement_sync: str
    placement_error: str
    health: int
    health_reasons: tuple[str, ...]
    registered_by: str
    registered_at: float
    decided_by: str


class DeviceDetail(DeviceAnswer, frozen=True, kw_only=True):
    """A device with its sensors."""

    sensors: list[SensorAnswer]


_PATH = {"device_id": BENCH}
ENDPOINTS = (
    Endpoint(
        "GET", "/esp/devices", "devices", VIEWER, "List the devices.", Page[DeviceAnswer],
        query=(
            text("status", "Only in this state."), text("zone_id", "Only of this zone."),
            flag("online", "Only those that are online, or are not."),
            *sorted_by("device_id", "name", "zone_id", "last_seen", "registered_at", "health"),
        ),
        event="device",
    ),
    Endpoint(
        "POST", "/esp/register", "register", OPERATOR, "Register a device; it waits for approval.",
        DeviceRecord, 201, body=RegisterBody,
        refuses=(InvalidDeviceId, InvalidZone, InvalidGpio, DuplicateDevice),
        examples=(Example({"device_id": BENCH, "name": "Bench 3", "zone_id": "greenhouse_a"}),),
    ),
    Endpoint(
        "GET", "/esp/devices/{device_id}", "device", VIEWER, "Show one device with its sensors.",
        DeviceDetail, refuses=(UnknownDevice,), tagged=True,
    ),
    Endpoint(
        "PATCH", "/esp/devices/{device_id}", "device", OPERATOR,
        "Change a device; what is not given stays.", DeviceRecord,
        details="A board that does not fit what is configured is refused.",
        body=DeviceBody, refuses=(UnknownDevice, DeclaredInFile, GpioConflict, InvalidGpio),
        edits=True, tagged=True, examples=(Example({"name": "Bench 3, north"}, _PATH),),
    ),
    Endpoint(
        "DELETE", "/esp/devices/{device_id}", "device", ADMIN,
        "Delete a device with what is configured on it; its readings stay.", status=204,
        refuses=(UnknownDevice, DeclaredInFile, StillInUse, CommandRefused), edits=True,
    ),
    Endpoint(
        "POST", "/esp/devices/{device_id}/approve", "approve", OPERATOR, "Approve a device.",
        DeviceRecord, body=DecisionBody, refuses=(UnknownDevice, DeclaredInFile, InvalidTransition),
        never_late=True, examples=(Example({"reason": "mounted today"}, _PATH),),
    ),
    Endpoint(
        "POST", "/esp/devices/{device_id}/reject", "reject", OPERATOR, "Reject a device.",
        DeviceRecord, body=DecisionBody, refuses=(UnknownDevice, DeclaredInFile, InvalidTransition),
        examples=(Example({"reason": "not ours"}, _PATH),),
    ),
)  # fmt: skip


class DeviceResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_devices(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        status, zone = req.get_param("status"), req.get_param("zone_id")
        online = req.get_param_as_bool("online")
        found = []
        for path in system.children(paths.DEVICES):
            view = system.published_value(path, "view")
            if (
                isinstance(view, DeviceView)
                and status in {None, view.record.approval.value}
                and zone in {None, view.record.zone_id}
                and online in {None, view.online}
            ):
                found.append(DeviceAnswer(**_device(view)))
        reply_page(req, resp, found, identity=("device_id",))

    def on_get_device(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        view = device_view(self._services.system, device_id)
        published = published_by(self._services, device_id)
        sensors = [sensor_answer(config, published.get(config.key)) for config in view.sensors]
        resp.etag = device_digest(view.record)
        reply(resp, DeviceDetail(**_device(view), sensors=sensors))

    def on_patch_device(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        body = read_body(req, DeviceBody)
        message = ChangeDevice(
            device_id=device_id,
            name=body.name,
            board=body.board,
            issuer=issuer_of(req),
            seen=seen_by(req),
        )
        record = ask(self._services.system, paths.REGISTRAR, message)
        resp.etag = device_digest(record)
        reply(resp, record)

    def on_delete_device(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        message = RemoveDevice(device_id=device_id, issuer=issuer_of(req), seen=seen_by(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_post_register(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, RegisterBody)
        record = ask(
            self._services.system,
            paths.REGISTRAR,
            RegisterDevice(
                device_id=body.device_id,
                name=body.name,
                board=body.board,
                zone_id=body.zone_id,
                issuer=issuer_of(req),
            ),
        )
        reply(resp, record, 201)

    def on_post_approve(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        self._decide(req, resp, device_id, approved=True)

    def on_post_reject(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        self._decide(req, resp, device_id, approved=False)

    def _decide(
        self, req: falcon.Request, resp: falcon.Response, device_id: str, *, approved: bool
    ) -> None:
        body = read_body(req, DecisionBody)
        message = DecideApproval(
            device_id=device_id, approved=approved, issuer=issuer_of(req), reason=body.reason
        )
        reply(resp, ask(self._services.system, paths.REGISTRAR, message))


def _device(view: DeviceView) -> dict[str, Any]:
    record = view.record
    return {
        "device_id": record.device_id,
        "name": record.name,
        "status": record.approval,
        "online": view.online,
        "zone_id": record.zone_id,
        "board": record.board,
        "last_seen": view.last_seen,
        "uptime_s": view.uptime_s,
        "heap_free": view.heap_free,
        "wifi_rssi": view.wifi_rssi,
        "ip": view.wifi_ip,
        "firmware_state": view.firmware_state,
        "sensor_count": view.sensor_count,
        "actuator_count": view.actuator_count,
        "config_sync": view.config_sync,
        "config_error": view.config_error,
        "zone_name": record.zone_name,
        "reported_zone": view.reported_zone,
        "subzones": record.subzones,
        "placement_sync": view.placement_sync,
        "placement_error": view.placement_error,
        "health": view.health,
        "health_reasons": view.health_reasons,
        "registered_by": record.registered_by,
        "registered_at": record.registered_at,
        "decided_by": record.decided_by,
    }
