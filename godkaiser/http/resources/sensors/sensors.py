"""/sensors: how sensors are configured, and their newest readings."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.registry.messages import ConfigureSensor, RemoveSensor
from godkaiser.domain.devices.devices import validate_device_id
from godkaiser.domain.entities import (
    Calibration,
    OperatingMode,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.records.digests import digest_of
from godkaiser.domain.sensors.sensors import Bus, bus_of, canonical_type
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.devices import (
    DeclaredInFile,
    GpioConflict,
    InvalidDeviceId,
    InvalidGpio,
    StillInUse,
    UnknownDevice,
)
from godkaiser.errors.sensors import UnknownSensor
from godkaiser.http.editing import seen_by
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    check_gpio,
    device_view,
    issuer_of,
    read_body,
    reply,
)
from godkaiser.http.paging import reply_page
from godkaiser.http.queries import ADDRESS, DEVICE, SENSOR_TYPE, sorted_by
from godkaiser.http.services import Services

Text = Annotated[str, msgspec.Meta(max_length=100)]
LONGEST_IN_PATH = 64


class SensorBody(RequestBody, frozen=True, kw_only=True):
    sensor_type: Annotated[str, msgspec.Meta(min_length=1, max_length=23)]
    name: Text = ""
    address: Annotated[str, msgspec.Meta(max_length=16)] = ""
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=300)] = 30
    operating_mode: OperatingMode = OperatingMode.CONTINUOUS
    subzone_id: Annotated[str, msgspec.Meta(max_length=32)] = ""
    calibration: Calibration | None = None


class ReadingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement, converted; `value` null: it cannot be. `timestamp` in unix seconds."""

    esp_id: str
    gpio: int
    sensor_type: str
    address: str
    timestamp: float
    raw: float
    value: float | None
    unit: str
    quality: Quality


class SensorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a sensor is configured, and its newest reading. `computed`: the gateway makes the series of other
    ones; nothing is configured.
    """

    esp_id: str
    gpio: int
    sensor_type: str
    address: str
    name: str
    interval_s: int | None
    operating_mode: OperatingMode | None
    subzone_id: str
    calibration: Calibration | None
    computed: bool
    latest: ReadingAnswer | None


_SERIES = "/sensors/{esp_id}/{gpio}/{sensor_type}"
ENDPOINTS = (
    Endpoint(
        "GET", "/sensors", "sensors", VIEWER, "List the sensors with their newest readings.",
        Page[SensorAnswer],
        query=(DEVICE, SENSOR_TYPE, *sorted_by("esp_id", "gpio", "sensor_type", "name")),
    ),
    Endpoint(
        "POST", "/sensors/{esp_id}/{gpio}", "sensor", OPERATOR, "Create a sensor, or replace its configuration.",
        SensorConfig, 201,
        details="A field that is left out gets its default; only the calibration stays. The gateway sends the"
        " configuration to the device.",
        body=SensorBody, edits=True, tagged=True,
        refuses=(InvalidDeviceId, InvalidGpio, UnknownDevice, GpioConflict, DeclaredInFile),
        examples=(
            Example(
                {"sensor_type": "ds18b20", "name": "Soil", "address": "28FF641E8D3C0C79", "interval_s": 30},
                {"esp_id": "ESP_4F3A9C", "gpio": "4"},
            ),
        ),
    ),
    Endpoint(
        "GET", _SERIES, "series", VIEWER, "Show one sensor: how it is configured, and its newest reading.",
        SensorAnswer, query=(ADDRESS,), refuses=(InvalidGpio, UnknownDevice, UnknownSensor), tagged=True,
    ),
    Endpoint(
        "DELETE", _SERIES, "series", OPERATOR, "Delete a sensor; what is stored stays.", status=204,
        details="Refused while a rule names it.",
        query=(ADDRESS,), refuses=(InvalidGpio, UnknownDevice, UnknownSensor, StillInUse, DeclaredInFile),
        edits=True,
    ),
)  # fmt: skip


class SensorResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_sensors(self, req: falcon.Request, resp: falcon.Response) -> None:
        system = self._services.system
        wanted, sensor_type = req.get_param("esp_id"), type_or_none(req.get_param("sensor_type"))
        found: list[SensorAnswer] = []
        for path in system.children(paths.DEVICES):
            view = system.published_value(path, "view")
            if isinstance(view, DeviceView) and wanted in {None, view.record.device_id}:
                published = published_by(self._services, view.record.device_id)
                found.extend(
                    sensor_answer(config, published.get(config.key)) for config in view.sensors
                )
                found.extend(_computed(published))
        if sensor_type is not None:
            found = [row for row in found if row.sensor_type == sensor_type]
        reply_page(req, resp, found, identity=("esp_id", "gpio", "sensor_type", "address"))

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
        published = published_by(self._services, esp_id)
        resp.etag = digest_of(alike[0])
        reply(resp, sensor_answer(alike[0], published.get(alike[0].key)))

    def on_delete_series(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        """What is stored stays; `?address=` where several share a pin."""
        key = series_key(req, esp_id, gpio, sensor_type)
        message = RemoveSensor(key=key, issuer=issuer_of(req), seen=seen_by(req))
        ask(self._services.system, paths.REGISTRAR, message)
        resp.status = 204


def series_key(req: falcon.Request, esp_id: str, gpio: str, sensor_type: str) -> SensorKey:
    """The series of a path, with `?address=` where several share a pin. Raises ValidationFailed, UnknownSensor."""
    address = parse_address(req.get_param("address") or "")
    if max(len(esp_id), len(sensor_type)) > LONGEST_IN_PATH:
        # Nothing has such a name, and the answer is not to repeat it at length.
        raise UnknownSensor(esp_id=esp_id[:64], gpio=gpio[:20], sensor_type=sensor_type[:64])
    return SensorKey(esp_id, check_gpio(gpio), canonical_type(sensor_type), address)


def type_or_none(name: str | None) -> str | None:
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


def published_by(services: Services, device_id: str) -> Mapping[Hashable, object]:
    """By its actor; of a series that was not heard since the start, the newest reading from before."""
    found: dict[Hashable, object] = {}
    found.update(services.stored_newest.get(device_id, {}).items())
    found.update(services.system.published(paths.device(device_id)))
    return found


def sensor_answer(config: SensorConfig, reading: object) -> SensorAnswer:
    return SensorAnswer(
        esp_id=config.esp_id,
        gpio=config.gpio,
        sensor_type=config.sensor_type,
        address=config.address,
        name=config.name,
        interval_s=config.interval_s,
        operating_mode=config.operating_mode,
        subzone_id=config.subzone_id,
        calibration=config.calibration,
        computed=False,
        latest=reading_answer(reading) if isinstance(reading, Reading) else None,
    )


def _computed(published: Mapping[Hashable, object]) -> Iterator[SensorAnswer]:
    """Series that the gateway computes; they have no configuration."""
    for reading in published.values():
        if isinstance(reading, Reading) and bus_of(reading.key.sensor_type) is Bus.COMPUTED:
            key = reading.key
            yield SensorAnswer(
                esp_id=key.esp_id,
                gpio=key.gpio,
                sensor_type=key.sensor_type,
                address=key.address,
                name="",
                interval_s=None,
                operating_mode=None,
                subzone_id="",
                calibration=None,
                computed=True,
                latest=reading_answer(reading),
            )


def reading_answer(reading: Reading) -> ReadingAnswer:
    key = reading.key
    return ReadingAnswer(
        esp_id=key.esp_id,
        gpio=key.gpio,
        sensor_type=key.sensor_type,
        address=key.address,
        timestamp=reading.at,
        raw=reading.raw,
        value=reading.value,
        unit=reading.unit,
        quality=reading.quality,
    )
