"""/sensors/data: stored readings of all sensors, and readings by REST."""

from __future__ import annotations

import time
from typing import Annotated

import falcon
import msgspec
import pykka

from godkaiser import paths
from godkaiser.actors.devices.messages import SubmitBatch, SubmitReading
from godkaiser.domain.entities import Issuer, SensorKey
from godkaiser.domain.sensors.sensors import canonical_type
from godkaiser.errors.base import GatewayError, GatewayOverloaded, ValidationFailed
from godkaiser.errors.devices import DeviceNotApproved, InvalidGpio, UnknownDevice
from godkaiser.errors.requests import InvalidTimeRange
from godkaiser.errors.sensors import UnknownSensor, ValueOutOfRange
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Example, Page
from godkaiser.http.exchange import (
    ASK_TIMEOUT_S,
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
from godkaiser.http.paging import cursor_of, encode_cursor
from godkaiser.http.queries import DEVICE, END, GPIO, SENSOR_TYPE, START, page
from godkaiser.http.resources.sensors.sensors import (
    ReadingAnswer,
    parse_address,
    reading_answer,
    type_or_none,
)
from godkaiser.http.services import Services
from godkaiser.storage.series.readings import ReadingQuery, StoredReading, readings_page

MOST = 1000
MAX_ROWS = 10_000
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


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


class BatchBody(RequestBody, frozen=True, kw_only=True):
    readings: Annotated[list[ReadingBody], msgspec.Meta(min_length=1, max_length=MOST)]


class RefusedReading(msgspec.Struct, frozen=True, kw_only=True):
    """`index` is its place in the request."""

    index: int
    code: str
    message: str


class BatchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    stored: int
    refused: list[RefusedReading]


_SOIL = {"esp_id": "ESP_4F3A9C", "gpio": 4, "sensor_type": "ds18b20", "address": "28FF641E8D3C0C79"}
_REFUSALS = (InvalidGpio, UnknownDevice, UnknownSensor, ValueOutOfRange, DeviceNotApproved)
ENDPOINTS = (
    Endpoint(
        "GET", "/sensors/data", "data", VIEWER, "List stored readings, newest first.",
        Page[StoredReading], query=(DEVICE, GPIO, SENSOR_TYPE, START, END, *page(MAX_ROWS)),
        refuses=(InvalidTimeRange,), event="reading",
    ),
    Endpoint(
        "POST", "/sensors/data", "data", OPERATOR, "Store one reading.", ReadingAnswer, 201,
        details="`raw` is converted; `value` is taken as final.",
        body=ReadingBody, refuses=_REFUSALS, examples=(Example({**_SOIL, "value": 21.5}),),
    ),
    Endpoint(
        "POST", "/sensors/data/batch", "batch", OPERATOR, "Store up to 1,000 readings.", BatchAnswer,
        details="Answered when each is stored or refused; one that is refused keeps no other back.",
        body=BatchBody, examples=(Example({"readings": [{**_SOIL, "value": 21.6}]}),),
    ),
)  # fmt: skip


class ReadingResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_data(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = ReadingQuery(
            esp_id=req.get_param("esp_id"),
            gpio=query_int(req, "gpio", None, 0, 255),
            sensor_type=type_or_none(req.get_param("sensor_type")),
            start=query_float(req, "start"),
            end=query_float(req, "end"),
            limit=query_int(req, "limit", 100, 1, MAX_ROWS) or 100,
            behind=cursor_of(req, tuple[Int64, Int64, Int64]),
        )
        if query.start is not None and query.end is not None and query.start > query.end:
            raise InvalidTimeRange(reason="start is after end: swap them.")
        found = readings_page(self._services.database, query)
        following = None if found.last is None else encode_cursor(found.last)
        reply(resp, Page(data=found.rows, count=len(found.rows), next=following))

    def on_post_data(self, req: falcon.Request, resp: falcon.Response) -> None:
        body = read_body(req, ReadingBody)
        device_view(self._services.system, body.esp_id)
        message = submission(body, issuer_of(req))
        stored = ask(self._services.system, paths.device(body.esp_id), message)
        reply(resp, reading_answer(stored), 201)

    def on_post_batch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answered when each is stored or refused."""
        issuer = issuer_of(req)
        refused: dict[int, GatewayError] = {}
        by_device: dict[str, list[tuple[int, SubmitReading]]] = {}
        bodies = read_body(req, BatchBody).readings
        for index, body in enumerate(bodies):
            try:
                device_view(self._services.system, body.esp_id)
                message = submission(body, issuer)
            except GatewayError as error:
                refused[index] = error
            else:
                by_device.setdefault(body.esp_id, []).append((index, message))
        deadline = time.monotonic() + ASK_TIMEOUT_S
        waiting: list[tuple[int, pykka.Future[object]]] = []
        for esp_id, items in by_device.items():
            batch = SubmitBatch(readings=tuple(message for _, message in items))
            try:
                answers = ask(self._services.system, paths.device(esp_id), batch)
            except GatewayError as error:
                answers = [error] * len(items)
            for (index, _), answer in zip(items, answers, strict=True):
                if isinstance(answer, GatewayError):
                    refused[index] = answer
                else:
                    waiting.append((index, answer))
        for index, answer in waiting:
            try:
                answer.get(timeout=max(0.0, deadline - time.monotonic()))
            except pykka.Timeout:
                refused[index] = GatewayOverloaded(path=paths.RECORDER, timeout_s=ASK_TIMEOUT_S)
            except GatewayError as error:
                refused[index] = error
        shown = [
            RefusedReading(index=index, code=error.code, message=error.message)
            for index, error in sorted(refused.items())
        ]
        reply(resp, BatchAnswer(stored=len(bodies) - len(refused), refused=shown))


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
