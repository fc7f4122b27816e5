"""Which actuators people have taken from the rules: on disk before anybody is told so.

Used by the safety actor only. The database is told afterwards; it counts where there is no file yet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import structlog

from godkaiser.actors.guarded_site import GuardedSite
from godkaiser.actors.journal import RecordAudit, RecordHold
from godkaiser.domain.checked_record import RecordUnreadable
from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.holds import Holds, record_of
from godkaiser.domain.safety import Hold
from godkaiser.errors import ServiceUnavailable, UnknownActuator
from godkaiser.messages import HoldActuator, HoldView
from godkaiser.storage.audit import entry_by
from godkaiser.storage.record_file import RecordFile
from godkaiser.supervision import ActorContext, Handle

log = structlog.get_logger("godkaiser.safety")


class HoldBook:
    def __init__(
        self, context: ActorContext, site: GuardedSite, journal: Handle, file: RecordFile[Holds]
    ) -> None:
        self._context = context
        self._site = site
        self._journal = journal
        self._file = file

    def restore(self, stored: Mapping[ActuatorKey, Hold]) -> str:
        """Take up what holds, `stored` as the database had it; "" or why that is not known."""
        problem = ""
        holds = self._context.recall("holds")
        if holds is None:
            try:
                kept = self._file.read()
                holds = stored if kept is None else kept.by_actuator()
            except RecordUnreadable as error:
                holds = {}
                problem = f"the record of the held actuators cannot be read: {error}"
        for key, hold in holds.items():
            actuator = self._site.find(key)
            if actuator is not None:
                actuator.hold = hold
        return problem

    def tidy(self) -> None:
        """Bring the file in line with what is there; a disk that is full leaves it as it was."""
        if self._context.recall("holds") == self._site.holds():
            return
        try:
            self._keep()
        except ServiceUnavailable as error:
            log.error("holds_not_kept", reason=error.message)

    def _keep(self) -> None:
        """Raises ServiceUnavailable."""
        holds = self._site.holds()
        self._context.publish("holds", holds)
        try:
            self._file.write(record_of(holds))
        except OSError as error:
            reason = (
                f"The record of the held actuators cannot be written: {error}. What is held stays so, until"
                " the gateway starts again. Free the disk and say it again."
            )
            raise ServiceUnavailable(reason=reason) from error

    def hold(self, message: HoldActuator) -> HoldView:
        """Raises UnknownActuator; ServiceUnavailable where it is not on disk: then it is held all the same."""
        actuator = self._site.find(message.key)
        if actuator is None:
            raise UnknownActuator(esp_id=message.key.esp_id, gpio=message.key.gpio)
        until = math.inf if message.seconds is None else self._context.now() + message.seconds
        hold = None if message.seconds == 0 else Hold(by=str(message.issuer), until=until)
        before, actuator.hold = actuator.hold, hold
        try:
            self._keep()
        except ServiceUnavailable:
            # In doubt it is held.
            actuator.hold = hold or before
            self._context.publish("holds", self._site.holds())
            raise
        self._journal.tell(RecordHold(key=message.key, hold=hold))
        verb = "released" if hold is None else "took"
        entry = entry_by(message.issuer, at=self._context.now(), what=f"{verb} {actuator}")
        self._journal.tell(RecordAudit(entry=entry))
        return HoldView(
            esp_id=message.key.esp_id,
            gpio=message.key.gpio,
            held=hold is not None,
            by="" if hold is None else hold.by,
            until=None if hold is None or math.isinf(until) else until,
        )
