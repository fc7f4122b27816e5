"""Calibration sessions; used by the registrar only, which is the one writer of configurations.

A session collects points, shows the resulting calibration, and is applied or aborted. An applied
calibration can be undone, which restores the one before.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from godkaiser.actors.registry.messages import (
    AbortCalibration,
    AddCalibrationPoint,
    ApplyCalibration,
    CalibrationPreview,
    ListCalibrations,
    StartCalibration,
    UndoCalibration,
)
from godkaiser.actors.registry.site_config import SiteConfig
from godkaiser.domain.entities import Calibration, CalibrationPoint, SensorConfig, SensorKey
from godkaiser.domain.sensors import calibration
from godkaiser.domain.sensors.calibration import CalibrationSession
from godkaiser.domain.sensors.sensors import convert
from godkaiser.errors.base import InvalidTransition
from godkaiser.errors.sensors import UnknownCalibration
from godkaiser.storage.repositories import calibrations, registry

DAY_S = 86_400.0
MOST_POINTS = 3

Keep = Callable[[SensorConfig], None]


class CalibrationService:
    def __init__(self, site: SiteConfig, keep: Keep) -> None:
        """`keep` takes over a saved configuration and sends it to its device."""
        self._site = site
        self._database = site.database
        self._keep = keep

    def start(self, message: StartCalibration, now: float) -> CalibrationSession:
        """Raises UnknownSensor, ImplausibleCalibration, InvalidTransition: one is open already."""
        key = self._site.sensor(message.key).key
        calibration.method_for(message.method, key.sensor_type)
        for session in calibrations.sessions_of(self._database, key):
            if session.state == "open":
                reason = (
                    f"Session {session.session_id} of {session.started_by} is open for this sensor."
                    " Continue it, or abort it."
                )
                raise InvalidTransition(reason=reason)
        return calibrations.begin_session(
            self._database,
            CalibrationSession(
                session_id=0,
                key=key,
                method=message.method,
                state="open",
                started_by=str(message.issuer),
                started_at=now,
            ),
        )

    def add_point(self, message: AddCalibrationPoint, now: float) -> CalibrationSession:
        """Raises UnknownCalibration, InvalidTransition."""
        session = self._open(message.session_id, message.key)
        if len(session.points) >= MOST_POINTS:
            reason = f"Session {session.session_id} has {MOST_POINTS} points; apply or abort it."
            raise InvalidTransition(reason=reason)
        point = CalibrationPoint(
            raw=message.raw,
            reference=message.reference,
            temperature_c=message.temperature_c,
            at=now,
        )
        session = msgspec.structs.replace(session, points=(*session.points, point))
        calibrations.save_session(self._database, session)
        return session

    def apply(self, message: ApplyCalibration, now: float) -> CalibrationPreview:
        """Raises UnknownCalibration, InvalidTransition, ImplausibleCalibration, UnknownSensor."""
        session = self._open(message.session_id, message.key)
        config = self._site.sensor(session.key)
        method = calibration.method_for(session.method, session.key.sensor_type)
        found = msgspec.structs.replace(
            calibration.calibrate(method, session.key.sensor_type, session.points),
            calibrated_at=now,
            calibrated_by=str(message.issuer),
            medium_c=message.medium_c,
            valid_until=None if message.valid_days is None else now + message.valid_days * DAY_S,
        )
        preview = _preview(session, config.calibration, found, dry_run=message.dry_run)
        if message.dry_run:
            return preview
        calibrated = msgspec.structs.replace(config, calibration=found)
        ended = msgspec.structs.replace(
            session,
            state="applied",
            ended_by=str(message.issuer),
            ended_at=now,
            result=found,
            previous=config.calibration,
        )
        with self._database.transaction():
            calibrations.save_session(self._database, ended)
            registry.save_sensor(self._database, calibrated)
        self._keep(calibrated)
        self._site.audit(message.issuer, f"calibrated {_named(config)}", _text(found))
        return preview

    def abort(self, message: AbortCalibration, now: float) -> CalibrationSession:
        """Raises UnknownCalibration, InvalidTransition."""
        session = self._open(message.session_id, message.key)
        ended = msgspec.structs.replace(
            session, state="aborted", ended_by=str(message.issuer), ended_at=now
        )
        calibrations.save_session(self._database, ended)
        return ended

    def undo(self, message: UndoCalibration, now: float) -> CalibrationSession:
        """Undo the newest applied session. Raises UnknownSensor, InvalidTransition."""
        config = self._site.sensor(message.key)
        for session in calibrations.sessions_of(self._database, config.key):
            if session.state == "applied":
                undone = msgspec.structs.replace(
                    session, state="undone", ended_by=str(message.issuer), ended_at=now
                )
                restored = msgspec.structs.replace(config, calibration=session.previous)
                with self._database.transaction():
                    calibrations.save_session(self._database, undone)
                    registry.save_sensor(self._database, restored)
                self._keep(restored)
                what = f"undid calibration {session.session_id} of {_named(config)}"
                self._site.audit(message.issuer, what)
                return undone
        reason = f"No calibration of {config.sensor_type} on GPIO {config.gpio} is left to undo."
        raise InvalidTransition(reason=reason)

    def sessions(self, message: ListCalibrations) -> list[CalibrationSession]:
        """Raises UnknownSensor."""
        return calibrations.sessions_of(self._database, self._site.sensor(message.key).key)

    def _open(self, session_id: int, key: SensorKey) -> CalibrationSession:
        session = calibrations.find_session(self._database, session_id)
        if session is None or session.key != self._site.sensor(key).key:
            raise UnknownCalibration(session_id=session_id)
        if session.state != "open":
            reason = f"Session {session_id} is {session.state} already. Start another one."
            raise InvalidTransition(reason=reason)
        return session


def _named(config: SensorConfig) -> str:
    return f"{config.esp_id}/{config.gpio} {config.sensor_type}"


def _text(found: Calibration) -> str:
    shown = {
        "slope": found.slope,
        "offset": found.offset,
        "dry": found.dry_raw,
        "wet": found.wet_raw,
    }
    values = ", ".join(f"{name} {value:g}" for name, value in shown.items() if value is not None)
    return f"{found.method}: {values}"


def _preview(
    session: CalibrationSession, before: Calibration | None, after: Calibration, *, dry_run: bool
) -> CalibrationPreview:
    """The value of each point with the calibration before, and with this one."""
    kind = session.key.sensor_type
    return CalibrationPreview(
        session_id=session.session_id,
        calibration=after,
        dry_run=dry_run,
        readings=tuple(
            (
                point.reference,
                convert(kind, point.raw, before).value,
                convert(kind, point.raw, after).value,
            )
            for point in session.points
        ),
    )
