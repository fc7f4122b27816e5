"""/sensors/.../calibration and /recalculation: what a sensor's raw values mean, now and in the past."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import (
    AbortCalibration,
    AddCalibrationPoint,
    ApplyCalibration,
    CalibrationPreview,
    ListCalibrations,
    StartCalibration,
    UndoCalibration,
)
from godkaiser.actors.storage.recalculator import CancelRecalculation, Recalculate
from godkaiser.domain.entities import Calibration, Reading, SensorConfig, SensorKey
from godkaiser.domain.sensors.calibration import METHODS, CalibrationSession
from godkaiser.domain.sensors.recalculation import Recalculation
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.devices import InvalidGpio, UnknownDevice
from godkaiser.errors.requests import InvalidTimeRange
from godkaiser.errors.sensors import (
    ImplausibleCalibration,
    NoFreshReading,
    NoRecalculation,
    UnknownCalibration,
    UnknownSensor,
)
from godkaiser.http.endpoint import OPERATOR, VIEWER, Endpoint, Example
from godkaiser.http.exchange import (
    RequestBody,
    ask,
    device_view,
    is_dry_run,
    issuer_of,
    number_in_path,
    read_body,
    reply,
)
from godkaiser.http.queries import ADDRESS, DRY_RUN
from godkaiser.http.resources.sensors.sensors import series_key
from godkaiser.http.services import Services

FRESH_S = 120.0

Temperature = Annotated[float, msgspec.Meta(ge=-10.0, le=110.0)]


class StartBody(RequestBody, frozen=True, kw_only=True):
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class PointBody(RequestBody, frozen=True, kw_only=True):
    """Without `raw`, the newest raw value of the sensor."""

    reference: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    raw: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    temperature_c: Temperature | None = None


class ApplyBody(RequestBody, frozen=True, kw_only=True):
    medium_c: Temperature | None = None
    valid_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] | None = None


class RecalculationBody(RequestBody, frozen=True, kw_only=True):
    """Unix seconds; `end` is not included. Without them, all that is stored until now."""

    start: Annotated[float, msgspec.Meta(ge=0, le=1e11)] = 0.0
    end: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None


class MethodAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`points`: at least and at most so many; `references` says what they are to be."""

    method: str
    points: tuple[int, int]
    references: str


class CalibrationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration that holds, the methods for the type, and the sessions, newest first."""

    calibration: Calibration | None
    methods: list[MethodAnswer]
    data: list[CalibrationSession]
    count: int


_SERIES = "/sensors/{esp_id}/{gpio}/{sensor_type}"
_SESSION = f"{_SERIES}/calibration/{{session_id}}"
_UNKNOWN = (InvalidGpio, UnknownDevice, UnknownSensor)
_OF_SESSION = (*_UNKNOWN, UnknownCalibration, InvalidTransition)
_PH = {"esp_id": "MOCK_TANK01", "gpio": "34", "sensor_type": "ph"}
_IN_SESSION = {**_PH, "session_id": "1"}
ENDPOINTS = (
    Endpoint(
        "GET", f"{_SERIES}/calibration", "sessions", VIEWER,
        "Show how a sensor is calibrated, the methods for its type, and its sessions.",
        CalibrationAnswer, query=(ADDRESS,), refuses=_UNKNOWN,
    ),
    Endpoint(
        "POST", f"{_SERIES}/calibration", "sessions", OPERATOR, "Begin a calibration.",
        CalibrationSession, 201, body=StartBody, query=(ADDRESS,),
        refuses=(*_UNKNOWN, ImplausibleCalibration, InvalidTransition),
        examples=(Example({"method": "ph"}, _PH),),
    ),
    Endpoint(
        "POST", f"{_SERIES}/calibration/undo", "undo", OPERATOR, "Put the calibration of before in force again.",
        CalibrationSession, query=(ADDRESS,), refuses=(*_UNKNOWN, InvalidTransition),
    ),
    Endpoint(
        "DELETE", _SESSION, "session", OPERATOR, "Abort a calibration.", CalibrationSession,
        query=(ADDRESS,), refuses=_OF_SESSION,
    ),
    Endpoint(
        "POST", f"{_SESSION}/points", "points", OPERATOR, "Add a measurement of something known.",
        CalibrationSession, 201,
        details="Without `raw`, the newest raw value of the last 120 s is taken.",
        body=PointBody, query=(ADDRESS,), refuses=(*_OF_SESSION, NoFreshReading),
        examples=(
            Example({"reference": 7.0, "raw": 1880, "temperature_c": 25.0}, _IN_SESSION),
            Example({"reference": 4.0, "raw": 1080, "temperature_c": 25.0}, _IN_SESSION),
        ),
    ),
    Endpoint(
        "POST", f"{_SESSION}/apply", "apply", OPERATOR, "Put a calibration in force.", CalibrationPreview,
        details="`readings` has of each point its reference, what it read before, and what it reads with this.",
        body=ApplyBody, query=(ADDRESS, DRY_RUN), refuses=(*_OF_SESSION, ImplausibleCalibration),
        examples=(Example({"valid_days": 30}, _IN_SESSION),),
    ),
    Endpoint(
        "GET", f"{_SERIES}/recalculation", "recalculation", VIEWER,
        "Tell how far the newest recalculation of stored readings is.", Recalculation,
        query=(ADDRESS,), refuses=(*_UNKNOWN, NoRecalculation),
    ),
    Endpoint(
        "POST", f"{_SERIES}/recalculation", "recalculation", OPERATOR,
        "Recompute stored readings with the calibration that holds now.", Recalculation, 202,
        body=RecalculationBody, query=(ADDRESS,),
        refuses=(*_UNKNOWN, InvalidTimeRange, InvalidTransition),
        examples=(Example({"start": 1790000000}, _PH),),
    ),
    Endpoint(
        "DELETE", f"{_SERIES}/recalculation", "recalculation", OPERATOR,
        "Cancel a recalculation; what is done stays.", Recalculation, query=(ADDRESS,),
        refuses=(*_UNKNOWN, NoRecalculation, InvalidTransition),
    ),
)  # fmt: skip


class CalibrationResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_sessions(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        config = self._config(req, esp_id, gpio, sensor_type)
        sessions = ask(self._services.system, paths.REGISTRAR, ListCalibrations(key=config.key))
        methods = [
            MethodAnswer(method=m.name, points=(m.least, m.most), references=m.references)
            for m in METHODS.values()
            if config.sensor_type in m.types
        ]
        answer = CalibrationAnswer(
            calibration=config.calibration, methods=methods, data=sessions, count=len(sessions)
        )
        reply(resp, answer)

    def on_post_sessions(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        key = series_key(req, esp_id, gpio, sensor_type)
        method = read_body(req, StartBody).method
        message = StartCalibration(key=key, method=method, issuer=issuer_of(req))
        reply(resp, ask(self._services.system, paths.REGISTRAR, message), 201)

    def on_post_points(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        esp_id: str,
        gpio: str,
        sensor_type: str,
        session_id: str,
    ) -> None:
        config = self._config(req, esp_id, gpio, sensor_type)
        body = read_body(req, PointBody)
        message = AddCalibrationPoint(
            key=config.key,
            session_id=_number(session_id),
            raw=self._newest_raw(config.key) if body.raw is None else body.raw,
            reference=body.reference,
            temperature_c=body.temperature_c,
            issuer=issuer_of(req),
        )
        reply(resp, ask(self._services.system, paths.REGISTRAR, message), 201)

    def on_post_apply(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        esp_id: str,
        gpio: str,
        sensor_type: str,
        session_id: str,
    ) -> None:
        body = read_body(req, ApplyBody)
        message = ApplyCalibration(
            key=series_key(req, esp_id, gpio, sensor_type),
            session_id=_number(session_id),
            medium_c=body.medium_c,
            valid_days=body.valid_days,
            dry_run=is_dry_run(req),
            issuer=issuer_of(req),
        )
        reply(resp, ask(self._services.system, paths.REGISTRAR, message))

    def on_delete_session(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        esp_id: str,
        gpio: str,
        sensor_type: str,
        session_id: str,
    ) -> None:
        message = AbortCalibration(
            key=series_key(req, esp_id, gpio, sensor_type),
            session_id=_number(session_id),
            issuer=issuer_of(req),
        )
        reply(resp, ask(self._services.system, paths.REGISTRAR, message))

    def on_post_undo(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        key = series_key(req, esp_id, gpio, sensor_type)
        message = UndoCalibration(key=key, issuer=issuer_of(req))
        reply(resp, ask(self._services.system, paths.REGISTRAR, message))

    def on_get_recalculation(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        key = self._config(req, esp_id, gpio, sensor_type).key
        run = self._services.system.published_value(paths.RECALCULATOR, key)
        if not isinstance(run, Recalculation):
            raise NoRecalculation
        reply(resp, run)

    def on_post_recalculation(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        config = self._config(req, esp_id, gpio, sensor_type)
        body = read_body(req, RecalculationBody)
        end = self._services.clock() if body.end is None else body.end
        if body.start >= end:
            raise InvalidTimeRange(reason="start is not before end: swap them.")
        message = Recalculate(key=config.key, start=body.start, end=end, issuer=issuer_of(req))
        reply(resp, ask(self._services.system, paths.RECALCULATOR, message), 202)

    def on_delete_recalculation(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        key = self._config(req, esp_id, gpio, sensor_type).key
        message = CancelRecalculation(key=key, issuer=issuer_of(req))
        reply(resp, ask(self._services.system, paths.RECALCULATOR, message))

    def _config(
        self, req: falcon.Request, esp_id: str, gpio: str, sensor_type: str
    ) -> SensorConfig:
        """Raises UnknownDevice, UnknownSensor."""
        key = series_key(req, esp_id, gpio, sensor_type)
        alike = [
            config
            for config in device_view(self._services.system, esp_id).sensors
            if (config.gpio, config.sensor_type) == (key.gpio, key.sensor_type)
            and key.address in {config.address, ""}
        ]
        if len(alike) != 1:
            raise UnknownSensor(esp_id=esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        return alike[0]

    def _newest_raw(self, key: SensorKey) -> float:
        """Raises NoFreshReading."""
        reading = self._services.system.published_value(paths.device(key.esp_id), key)
        now = self._services.clock()
        if (
            not isinstance(reading, Reading)
            or now - reading.received_at > FRESH_S
            or not reading.has_raw
        ):
            raise NoFreshReading(age_s=FRESH_S, esp_id=key.esp_id, gpio=key.gpio)
        return reading.raw


def _number(session_id: str) -> int:
    return number_in_path("session_id", session_id, UnknownCalibration)
