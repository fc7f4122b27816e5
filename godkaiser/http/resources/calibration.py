"""/sensors/{esp_id}/{gpio}/{sensor_type}/calibration and /recalculation."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.registry.messages import (
    AbortCalibration,
    AddCalibrationPoint,
    ApplyCalibration,
    ListCalibrations,
    StartCalibration,
    UndoCalibration,
)
from godkaiser.actors.storage.recalculator import CancelRecalculation, Recalculate
from godkaiser.domain.entities import Reading, SensorConfig, SensorKey
from godkaiser.domain.sensors.calibration import METHODS
from godkaiser.domain.sensors.recalculation import Recalculation
from godkaiser.errors.requests import InvalidTimeRange
from godkaiser.errors.sensors import (
    NoFreshReading,
    NoRecalculation,
    UnknownCalibration,
    UnknownSensor,
)
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
from godkaiser.http.resources.devices import series_key
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


class CalibrationResources:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get_sessions(
        self, req: falcon.Request, resp: falcon.Response, esp_id: str, gpio: str, sensor_type: str
    ) -> None:
        config = self._config(req, esp_id, gpio, sensor_type)
        sessions = ask(self._services.system, paths.REGISTRAR, ListCalibrations(key=config.key))
        methods = [
            {"method": m.name, "points": [m.least, m.most], "references": m.references}
            for m in METHODS.values()
            if config.sensor_type in m.types
        ]
        body = {
            "calibration": config.calibration,
            "methods": methods,
            "data": sessions,
            "count": len(sessions),
        }
        reply(resp, body)

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
