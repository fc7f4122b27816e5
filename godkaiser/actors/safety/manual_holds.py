"""The holds of people on actuators: on disk before a request is answered.

Used by the safety actor only. The database follows later; it is used if there is no file yet.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

import msgspec
import structlog

from godkaiser.actors.safety.messages import HoldActuator, HoldView
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.storage.journal import RecordAudit, RecordHold
from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.moments import Moment
from godkaiser.domain.records.checked_record import RecordUnreadable
from godkaiser.domain.safety.actuator_events import Held
from godkaiser.domain.safety.holds import Holds, holds_of, record_of
from godkaiser.domain.safety.safety import Hold
from godkaiser.errors.base import ServiceUnavailable
from godkaiser.errors.safety import UnknownActuator
from godkaiser.errors.storage import RecordNotWritten
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.files.record_file import RecordFile
from godkaiser.supervision import ActorContext, Handle

log = structlog.get_logger("godkaiser.safety")


class ManualHolds:
    def __init__(
        self, context: ActorContext, plant: Plant, journal: Handle, file: RecordFile[Holds]
    ) -> None:
        self._context = context
        self._plant = plant
        self._journal = journal
        self._file = file

    def restore(self, stored: Mapping[ActuatorKey, Hold]) -> str:
        """Restore the holds; returns "" or why they are unknown. `stored` are those of the
        database, with ends in unix seconds.
        """
        problem = ""
        holds: Mapping[ActuatorKey, Hold] = {}
        try:
            kept = self._file.read()
        except RecordUnreadable as error:
            problem = f"the record of the holds cannot be read: {error}"
        else:
            holds = self._from_database(stored) if kept is None else holds_of(kept, self._moment())
        for key, hold in holds.items():
            self._plant.apply(key, Held(hold=hold))
        return problem

    def tidy(self) -> None:
        """Bring the file in line with the existing actuators; with a full disk it stays unchanged."""
        if not self._plant.holds() and self._file_is_empty():
            return
        try:
            self._write(self._plant.holds())
        except ServiceUnavailable as error:
            log.error("holds_not_kept", reason=error.message)

    @property
    def is_recorded(self) -> bool:
        """Whether the file says what holds."""
        return not self._file.unwritten

    def write_again(self) -> None:
        """Write what is in force where that has failed before."""
        with contextlib.suppress(OSError):
            self._file.retry()

    def hold(self, message: HoldActuator) -> HoldView:
        """Raises UnknownActuator; ServiceUnavailable: nothing has changed, not even on disk."""
        state = self._plant.find(message.key)
        if state is None:
            raise UnknownActuator(esp_id=message.key.esp_id, gpio=message.key.gpio)
        now = self._context.monotonic()
        until = math.inf if message.seconds is None else now + message.seconds
        hold = None if message.seconds == 0 else Hold(by=str(message.issuer), until=until)
        wanted = {key: held for key, held in self._plant.holds().items() if key != message.key}
        if hold is not None:
            wanted[message.key] = hold
        self._write(wanted)
        self._plant.apply(message.key, Held(hold=hold))
        wall_until = self._context.now() + until - now
        stored = None if hold is None else msgspec.structs.replace(hold, until=wall_until)
        self._journal.tell(RecordHold(key=message.key, hold=stored))
        verb = "released" if hold is None else "took"
        entry = entry_by(message.issuer, at=self._context.now(), what=f"{verb} {state}")
        self._journal.tell(RecordAudit(entry=entry))
        return HoldView(
            esp_id=message.key.esp_id,
            gpio=message.key.gpio,
            held=hold is not None,
            by="" if hold is None else hold.by,
            until=None if hold is None or math.isinf(until) else wall_until,
        )

    def _write(self, holds: Mapping[ActuatorKey, Hold]) -> None:
        """Raises ServiceUnavailable; then the file is unchanged."""
        try:
            self._file.write(record_of(holds, self._moment()))
        except OSError as error:
            raise RecordNotWritten(
                record="record of the held actuators", reason=str(error)
            ) from error

    def _file_is_empty(self) -> bool:
        try:
            kept = self._file.read()
        except RecordUnreadable:
            return False
        return kept is not None and not kept.held

    def _from_database(self, stored: Mapping[ActuatorKey, Hold]) -> dict[ActuatorKey, Hold]:
        shift = self._context.monotonic() - self._context.now()
        return {
            key: msgspec.structs.replace(hold, until=hold.until + shift)
            for key, hold in stored.items()
        }

    def _moment(self) -> Moment:
        return Moment(
            boot_id=self._context.boot_id(),
            monotonic=self._context.monotonic(),
            wall=self._context.now(),
        )
