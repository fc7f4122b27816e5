"""The recalculator: recomputes stored values with a new calibration.

There is one run at a time, with one batch in each transaction; a run continues after a crash, a
restart of the gateway, or an outage of the database.
"""

from __future__ import annotations

from typing import Any

from godkaiser import paths
from godkaiser.actors.message import Message
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.entities import Calibration, Issuer, SensorKey
from godkaiser.domain.sensors import recalculation
from godkaiser.domain.sensors.recalculation import Recalculation
from godkaiser.errors.base import GatewayError, InvalidTransition
from godkaiser.errors.sensors import NoRecalculation, UnknownSensor
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import calibrations, recalculations, registry
from godkaiser.supervision import Actor

BATCH = 500
PAUSE_S = 0.02
"""Pause between two batches, in which the recorder has the database for itself."""
AGAIN_S = 5.0
MOST_WAITING = 100


class Recalculate(Message, frozen=True, kw_only=True):
    """Recompute the values from `start` to `end` (unix seconds) with the sensor's calibration.

    Reply: Recalculation, at the start. Refusals: UnknownSensor, InvalidTransition while it runs.
    """

    key: SensorKey
    start: float
    end: float
    issuer: Issuer


class CancelRecalculation(Message, frozen=True, kw_only=True):
    """Cancel a run; recomputed values stay. Reply: Recalculation. Refusals: NoRecalculation."""

    key: SensorKey
    issuer: Issuer


class NextBatch(Message, frozen=True, kw_only=True):
    """To oneself."""


class RecalculatorActor(Actor):
    waits_for = (DatabaseUnavailable,)

    """Publishes under each key the newest Recalculation of that sensor."""

    refusals = (GatewayError,)

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._running: dict[SensorKey, Recalculation] = {}

    def on_start(self) -> None:
        for run in recalculations.load(self._database):
            self.context.publish(run.key, run)
            if run.state == "running":
                self._running[run.key] = run
        if self._running:
            self._go_on(PAUSE_S)

    def on_receive(self, message: object) -> Any:
        match message:
            case Recalculate():
                return self._begin(message)
            case CancelRecalculation(key=key, issuer=issuer):
                return self._cancel(key, issuer)
            case NextBatch():
                self._next_batch()
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _begin(self, message: Recalculate) -> Recalculation:
        key = message.key
        if key in self._running:
            raise InvalidTransition(
                reason="It is already running: see its progress, or cancel it first."
            )
        if len(self._running) >= MOST_WAITING:
            raise InvalidTransition(reason=f"{MOST_WAITING} sensors already wait; try later.")
        # Read it from the database: the view of the device is a moment behind.
        sensor = registry.find_sensor(self._database, key)
        if sensor is None:
            raise UnknownSensor(esp_id=key.esp_id, gpio=key.gpio, sensor_type=key.sensor_type)
        now = self.context.now()
        run = Recalculation(
            key=key,
            calibration=sensor.calibration,
            before=self._held_before(key, sensor.calibration),
            start=message.start,
            end=message.end,
            total=recalculations.count_raw(self._database, key, message.start, message.end),
            by=str(message.issuer),
            started_at=now,
        )
        recalculations.save(self._database, run)
        self._running[key] = run
        self.context.publish(key, run)
        self._audit(run, f"began to recalculate {run.total} readings of")
        self._go_on(PAUSE_S)
        return run

    def _held_before(self, key: SensorKey, now_held: Calibration | None) -> Calibration | None:
        for session in calibrations.sessions_of(self._database, key):
            if session.state == "applied" and session.result == now_held:
                return session.previous
            if session.state == "undone" and session.previous == now_held:
                return session.result
        return None

    def _cancel(self, key: SensorKey, issuer: Issuer) -> Recalculation:
        run = self._running.get(key)
        if run is None:
            raise NoRecalculation
        run = recalculation.ended(
            run,
            "cancelled",
            self.context.now(),
            f"cancelled by {issuer} after {run.done} of {run.total} readings",
        )
        recalculations.save(self._database, run)
        self._end(run)
        return run

    def _next_batch(self) -> None:
        if not self._running:
            return
        key, run = next(iter(self._running.items()))
        try:
            batch = recalculations.next_batch(self._database, run, BATCH)
            changes = recalculation.recalculated(run, batch)
            run = recalculation.after_batch(
                run, batch, len(changes), is_last=len(batch) < BATCH, now=self.context.now()
            )
            recalculations.store_batch(self._database, run, changes)
        except DatabaseUnavailable:
            self._go_on(AGAIN_S)
            return
        if run.state == "running":
            self._running[key] = run
            self.context.publish(key, run)
        else:
            self._end(run)
        self._go_on(PAUSE_S)

    def _end(self, run: Recalculation) -> None:
        self._running.pop(run.key, None)
        self.context.publish(run.key, run)
        self._audit(run, "recalculated")

    def _go_on(self, delay_s: float) -> None:
        self.context.schedule(delay_s, NextBatch(), key="next")

    def _audit(self, run: Recalculation, what: str) -> None:
        key = run.key
        entry = AuditEntry(
            at=self.context.now(),
            who=run.by,
            what=f"{what} {key.esp_id}/{key.gpio} {key.sensor_type}",
            details=run.result[:500],
        )
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
