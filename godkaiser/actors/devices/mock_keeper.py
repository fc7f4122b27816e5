"""Keeps the mock ESPs, also across a restart, and reports devices whose mock is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.devices.mock import ChangeMock, MockActor
from godkaiser.actors.message import Message
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.actors.storage.housekeeper import RunJob, RunView
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.domain.devices import mocks
from godkaiser.domain.devices.mocks import DrivenValue, MockFaults, MockRecord
from godkaiser.domain.entities import Issuer
from godkaiser.errors.base import GatewayError
from godkaiser.errors.devices import UnknownMock
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.storage.audit.trail import entry_by
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import mocks as storage
from godkaiser.supervision import Actor, ChildSpec, MailboxSpec, StopChild

ORPHANS_JOB = "mock_orphans"
ASK_TIMEOUT_S = 5.0
log = structlog.get_logger("godkaiser.mocks")


class CreateMock(Message, frozen=True, kw_only=True):
    """Reply: MockRecord. Refusals: InvalidMockId, DuplicateMock, TooManyMocks,
    DatabaseUnavailable.
    """

    mock_id: str
    issuer: Issuer
    faults: MockFaults = MockFaults()


class DeleteMock(Message, frozen=True, kw_only=True):
    """Reply: None. The device's record stays. Refusals: UnknownMock, DatabaseUnavailable."""

    mock_id: str
    issuer: Issuer


class DriveMock(Message, frozen=True, kw_only=True):
    """Set the value of one of its sensors. Reply: MockRecord. Refusals: as of DeleteMock."""

    mock_id: str
    value: DrivenValue
    issuer: Issuer


class FailMock(Message, frozen=True, kw_only=True):
    """Replace its faults. Reply: MockRecord. Refusals: as of DeleteMock."""

    mock_id: str
    faults: MockFaults
    issuer: Issuer


class MockKeeperActor(Actor):
    """Publishes "mocks", the records by id, and "orphans", the ids of devices whose mock is
    deleted.

    Orphans are only reported, in the log and in the audit trail: their readings may still be
    wanted. The mocks' flash memories are files in `folder`.
    """

    waits_for = (DatabaseUnavailable,)
    refusals = (GatewayError,)

    def __init__(
        self,
        database: Database,
        address: BrokerAddress,
        kaiser_id: str,
        folder: Path,
    ) -> None:
        super().__init__()
        self._database = database
        self._address = address
        self._kaiser_id = kaiser_id
        self._folder = folder
        self._records: dict[str, MockRecord] = {}
        self._told: tuple[str, ...] = ()

    def on_start(self) -> None:
        self._told = self.context.recall("orphans") or ()
        self.context.join(ORPHANS_JOB)
        self._load()

    def on_receive(self, message: object) -> Any:
        match message:
            case CreateMock():
                return self._create(message)
            case DeleteMock():
                return self._delete(message)
            case DriveMock(mock_id=mock_id, value=value):
                return self._change(self._known(mock_id).driven(value))
            case FailMock(mock_id=mock_id, faults=faults, issuer=issuer):
                record = msgspec.structs.replace(self._known(mock_id), faults=faults)
                self._audit(issuer, f"faults of mock {mock_id}", str(faults))
                return self._change(record)
            case Tick(job=job) if job == ORPHANS_JOB:
                self._look_for_orphans("timekeeper")
            case RunJob(by=by):
                return self._look_for_orphans(by)
            case _:
                self.context.unhandled(message)
        return None

    def on_stop(self) -> None:
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _load(self) -> None:
        records = storage.load_mocks(self._database)
        self._records = {record.mock_id: record for record in records}
        for record in records:
            self._start(record)
        self._show()

    def _create(self, message: CreateMock) -> MockRecord:
        mocks.check_new(message.mock_id, self._records)
        record = MockRecord(
            mock_id=message.mock_id,
            created_by=str(message.issuer),
            created_at=self.context.now(),
            faults=message.faults,
        )
        storage.save_mock(self._database, record)
        self._records[record.mock_id] = record
        self._start(record)
        self._show()
        self._audit(message.issuer, f"created mock {record.mock_id}")
        return record

    def _delete(self, message: DeleteMock) -> None:
        mock_id = self._known(message.mock_id).mock_id
        storage.delete_mock(self._database, mock_id)
        del self._records[mock_id]
        self.context.handle(paths.MOCKS).ask(StopChild(mock_id), timeout_s=ASK_TIMEOUT_S)
        self._show()
        self._audit(message.issuer, f"deleted mock {mock_id}")

    def _change(self, record: MockRecord) -> MockRecord:
        storage.save_mock(self._database, record)
        self._records[record.mock_id] = record
        handle = self.context.find(paths.mock(record.mock_id))
        if handle is not None:
            handle.tell(ChangeMock(record=record))
        self._show()
        return record

    def _known(self, mock_id: str) -> MockRecord:
        record = self._records.get(mock_id)
        if record is None:
            raise UnknownMock(mock_id=mock_id[:64])
        return record

    def _start(self, record: MockRecord) -> None:
        file = self._folder / f"{record.mock_id}.json"
        spec = ChildSpec(
            name=record.mock_id,
            factory=lambda: MockActor(record, self._address, self._kaiser_id, file),
            mailbox=MailboxSpec(capacity=100),
        )
        self.context.adopt(paths.MOCKS, spec)

    def _show(self) -> None:
        self.context.publish("mocks", dict(self._records))

    def _look_for_orphans(self, by: str) -> RunView:
        began = self.context.now()
        names = (path.rpartition("/")[2] for path in self.context.children(paths.DEVICES))
        found = mocks.orphans(names, self._records)
        if found != self._told:
            self._told = found
            self.context.publish("orphans", found)
            if found:
                log.warning("mock_orphans", devices=found)
                self._audit("system:mock_keeper", "devices of deleted mocks", ", ".join(found))

        view = RunView(
            job=ORPHANS_JOB,
            state="done",
            by=by,
            started_at=began,
            ended_at=self.context.now(),
            counts={"orphans": len(found)},
            result=", ".join(found) or "no device belongs to a deleted mock",
        )
        self.context.publish(ORPHANS_JOB, view)
        return view

    def _audit(self, by: Issuer | str, what: str, details: str = "") -> None:
        entry = entry_by(by, at=self.context.now(), what=what, details=details)
        self.context.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))
