"""/esp and /sensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Annotated, Any

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView, SubmitReading
from godkaiser.actors.registry.messages import (
    ChangeDevice,
    ConfigureSensor,
    DecideApproval,
    RegisterDevice,
    RemoveDevice,
    RemoveSensor,
)
from godkaiser.domain.devices.devices import validate_device_id
from godkaiser.domain.entities import (
    Calibration,
    Issuer,
    OperatingMode,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.records.digests import device_digest, digest_of
from godkaiser.domain.sensors.sensors import Bus, bus_of, canonical_type
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.requests import InvalidTimeRange
from godkaiser.errors.sensors import UnknownSensor
from godkaiser.http.editing import refuse_changed, seen_by
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    device_view,
    issuer_of,
    query_float,
    query_int,
    read_body,
    reply,
)
from godkaiser.http.paging import cursor_of, encode_cursor, reply_page
from godkaiser.http.services import Services
from godkaiser.storage.series.readings import ReadingQuery, readings_page

Text = Annotated[str, msgspec.Meta(max_length=100)]
MAX_ROWS = 10_000
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


LONGEST_IN_PATH = 64


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


class SensorBody(RequestBody, frozen=True, kw_only=True):
    sensor_type: Annotated[str, msgspec.Meta(min_length=1, max_length=23)]
    name: Text = ""
    address: Annotated[str, msgspec.Meta(max_length=16)] = ""
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 30
    operating_mode: OperatingMode = OperatingMode.CONTINUOUS
    subzone_id: Annotated[str, msgspec.Meta(max_length=32)] = ""
    calibration: Calibration | None = None


class ReadingBody(RequestBody, frozen=True, kw_only=True):
    """`raw` is converted; `value` is taken as final. `raw_value` is another name of `raw`."""

    esp_id: str
    gpio: int
    sensor_type: str
    raw: float | None = None
    raw_value: float | None = None
    value: float | None = None
    address: str = ""
    timestamp: float | None = None


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
                found.append(_device(view))
        reply_page(
            req, resp, found, identity=("device_id",),
            sortable=("device_id", "name", "zone_id", "last_seen", "registered_at", "health"),
        )  # fmt: skip

    def on_get_device(self, req: falcon.Request, resp: falcon.Response, device_id: str) -> None:
        view = device_view(self._services.system, device_id)
        published = _published(self._services, device_id)
        body = _device(view)
        body["sensors"] = [_sensor(config, published.get(config.key)) for config in view.sensors]
        resp.etag = device_digest(view.record)
        reply(resp, body)

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
        present = device_digest(device_view(self._services.system, device_id).record)
        refuse_changed(seen_by(req), present, device_id)
        message = RemoveDevice(device_id=device_id, issuer=issuer_of(req))
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


class SensorResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_sensors(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        wanted, sensor_type = req.get_param("esp_id"), _type_or_none(req.get_param("sensor_type"))
        found: list[dict[str, Any]] = []
        for path in system.children(paths.DEVICES):
            view = system.published_value(path, "view")
            if isinstance(view, DeviceView) and wanted in {None, view.record.device_id}:
                published = _published(self._services, view.record.device_id)
                found.extend(_sensor(config, published.get(config.key)) for config in view.sensors)
                found.extend(_computed(published))
        if sensor_type is not None:
            found = [row for row in found if row["sensor_type"] == sensor_type]
        reply_page(
            req, resp, found, identity=("esp_id", "gpio", "sensor_type", "address"),
            sortable=("esp_id", "gpio", "sensor_type", "name"),
        )  # fmt: skip

    def on_post_sensor(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str
    ) -> None:
        pin = check_gpio(gpio)
        validate_device_id(esp_id)
        body = read_body(req, SensorBody)
        config = SensorConfig(
            esp_id=esp_id,
            gpio=pin,
            sensor_type=body.sensor_type,
            address=parse_address(body.address),
            name=body.name,
            interval_s=body.interval_s,
            operating_mode=body.operating_mode,
            subzone_id=body.subzone_id,
            calibration=body.calibration,
        )
        message = ConfigureSensor(config=config, issuer=issuer_of(req), seen=seen_by(req))
        saved = ask(self._services.system, paths.REGISTRAR, message)
        resp.etag = digest_of(saved)
        reply(resp, saved, 201)

    def on_get_series(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        """How it is configured, and its newest reading."""
        key = series_key(req, esp_id, gpio, sensor_type)
        alike = [
            config
            for config in device_view(self._services.system, esp_id).sensors
            if (config.gpio, config.sensor_type) == (key.gpio, key.sensor_type)
            and key.address in {"", config.address}
        ]
        if len(alike) != 1:
            raise UnknownSensor(esp_id=esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        published = _published(self._services, esp_id)
        resp.etag = digest_of(alike[0])
        reply(resp, _sensor(alike[0], published.get(alike[0].key)))

    def on_delete_series(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        """What is stored stays; `?address=` where several share a pin."""
        key = series_key(req, esp_id, gpio, sensor_type)
        for config in device_view(self._services.system, esp_id).sensors:
            if config.key == key:
                refuse_changed(seen_by(req), digest_of(config), f"sensor {sensor_type} on {gpio}")
        message = RemoveSensor(key=key, issuer=issuer_of(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204

    def on_get_data(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = ReadingQuery(
            esp_id=req.get_param("esp_id"),
            gpio=query_int(req, "gpio", None, 0, 255),
            sensor_type=_type_or_none(req.get_param("sensor_type")),
            start=query_float(req, "start"),
            end=query_float(req, "end"),
            limit=query_int(req, "limit", 100, 1, MAX_ROWS) or 100,
            behind=cursor_of(req, tuple[Int64, Int64, Int64]),
        )
        if query.start is not None and query.end is not None and query.start > query.end:
            raise InvalidTimeRange(reason="start is after end: swap them.")
        page = readings_page(self._services.database, query)
        following = None if page.last is None else encode_cursor(page.last)
        reply(resp, {"data": page.rows, "count": len(page.rows), "next": following})

    def on_post_data(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, ReadingBody)
        device_view(self._services.system, body.esp_id)
        message = submission(body, issuer_of(req))
        stored = ask(self._services.system, paths.device(body.esp_id), message)
        reply(resp, _reading(stored), 201)


def submission(body: ReadingBody, issuer: Issuer) -> SubmitReading:
    """Raises ValidationFailed."""
    raw = body.raw if body.raw is not None else body.raw_value
    if (raw is None) == (body.value is None):
        reason = "Send either raw (to be converted) or value (final)."
        raise ValidationFailed(reason=reason)
    key = SensorKey(
        body.esp_id,
        check_gpio(body.gpio),
        canonical_type(body.sensor_type),
        parse_address(body.address),
    )
    return SubmitReading(key=key, raw=raw, value=body.value, at=body.timestamp, issuer=issuer)


def series_key(req: falcon.Request, esp_id: str, gpio: str, sensor_type: str) -> SensorKey:
    """The series of a path, with `?address=` where several share a pin. Raises ValidationFailed, UnknownSensor."""
    address = parse_address(req.get_param("address") or "")
    if max(len(esp_id), len(sensor_type)) > LONGEST_IN_PATH:
        # Nothing has such a name, and the answer is not to repeat it at length.
        raise UnknownSensor(esp_id=esp_id[:64], gpio=gpio[:20], sensor_type=sensor_type[:64])
    return SensorKey(esp_id, check_gpio(gpio), canonical_type(sensor_type), address)


def _type_or_none(name: str | None) -> str | None:
    return None if name is None else canonical_type(name)


def parse_address(text: str) -> str:
    """OneWire ROMs in capitals, I2C addresses as hexadecimal. Raises ValidationFailed."""
    rom_digits = 16
    if not text:
        return ""
    try:
        number = int(text, 16 if len(text) == rom_digits else 0)
    except ValueError as error:
        reason = f"address '{text[:40]}': use 16 hex digits (OneWire) or a number like 0x44 (I2C)."
        raise ValidationFailed(reason=reason) from error
    return text.upper() if len(text) == rom_digits else hex(number)


def _published(services: Services, device_id: str) -> Mapping[Hashable, object]:
    """By its actor; of a series that was not heard since the start, the newest reading from before."""
    found: dict[Hashable, object] = {}
    found.update(services.stored_newest.get(device_id, {}).items())
    found.update(services.system.published(paths.device(device_id)))
    return found


def _device(view: DeviceView) -> dict[str, Any]:
    record = view.record
    return {
        "device_id": record.device_id,
        "name": record.name,
        "status": record.approval.value,
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
        "subzones": msgspec.to_builtins(record.subzones),
        "placement_sync": view.placement_sync,
        "placement_error": view.placement_error,
        "health": view.health,
        "health_reasons": view.health_reasons,
        "registered_by": record.registered_by,
        "registered_at": record.registered_at,
        "decided_by": record.decided_by,
    }


def _sensor(config: SensorConfig, reading: object) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(config)
    body["latest"] = _reading(reading) if isinstance(reading, Reading) else None
    return body


def _computed(published: Mapping[Hashable, object]) -> list[dict[str, Any]]:
    """Series that the gateway computes; they have no configuration."""
    return [
        {**msgspec.to_builtins(reading.key), "computed": True, "latest": _reading(reading)}
        for reading in published.values()
        if isinstance(reading, Reading) and bus_of(reading.key.sensor_type) is Bus.COMPUTED
    ]


def _reading(reading: Reading) -> dict[str, Any]:
    key = reading.key
    return {
        "esp_id": key.esp_id,
        "gpio": key.gpio,
        "sensor_type": key.sensor_type,
        "address": key.address,
        "timestamp": reading.at,
        "raw": reading.raw,
        "value": reading.value,
        "unit": reading.unit,
        "quality": reading.quality.value,
    }
