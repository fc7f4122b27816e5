"""The journal: writes the audit trail, the command history and states that must survive a restart,
in groups.

No actor waits for it. While the database is away, and until the spooled entries are replayed, all
entries go to the spool, so that the order is kept. If that also fails, entries wait in memory, up
to a bound.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import get_args

import msgspec

from godkaiser.actors.message import Message
from godkaiser.actors.safety.messages import CommandOutcome
from godkaiser.actors.storage.group_commit import Flush, GroupCommit
from godkaiser.actors.storage.record_codec import RecordCodec
from godkaiser.domain.entities import ActuatorKey, Command
from godkaiser.domain.rules.rules import Decision, Finding, RuleMemory
from godkaiser.domain.safety.actuator_memory import KeptActuator
from godkaiser.domain.safety.safety import Hold, Verdict
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.mqtt.ports import AckPort
from godkaiser.storage.audit import trail as audit
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.storage.engine.database import Database
from godkaiser.storage.engine.statements import Batch
from godkaiser.storage.repositories import history
from godkaiser.storage.spool.position import claim_position, keep_position
from godkaiser.storage.spool.spool import Spool, Stream
from godkaiser.supervision import Actor

GROUP = 500
LINGER_S = 0.05
KEEP_WHILE_AWAY = 50_000


class RecordAudit(Message, frozen=True, kw_only=True):
    """`ack` is the (session, mid) of a device message that this entry stores."""

    entry: AuditEntry
    ack: tuple[int, int] | None = None


class RecordVerdict(Message, frozen=True, kw_only=True):
    command: Command
    verdict: Verdict


class RecordOutcome(Message, frozen=True, kw_only=True):
    outcome: CommandOutcome


class RecordActuator(Message, frozen=True, kw_only=True):
    """The state of an actuator for a later process."""

    key: ActuatorKey
    memory: KeptActuator


class RecordRuntime(Message, frozen=True, kw_only=True):
    """Spooled by an earlier version; replaced by RecordActuator."""


class RecordRule(Message, frozen=True, kw_only=True):
    """The memory of a rule and, with `decision`, its findings and actions."""

    rule_id: int
    at: float
    memory: RuleMemory
    decision: Decision | None
    findings: tuple[Finding, ...]
    commands: tuple[str, ...] = ()


class RecordSafety(Message, frozen=True, kw_only=True):
    body: str
    at: float


class RecordHold(Message, frozen=True, kw_only=True):
    """The hold on an actuator; None: released."""

    key: ActuatorKey
    hold: Hold | None


Record = (
    RecordHold
    | RecordAudit
    | RecordVerdict
    | RecordOutcome
    | RecordActuator
    | RecordRuntime
    | RecordRule
    | RecordSafety
)


class Tried(Message, frozen=True, kw_only=True):
    """In the spool, before records that may already be stored, because the database's answer was
    lost.

    `marks`: how many of the following records are stored if the database has the mark.
    """

    marks: dict[str, int]


CODEC: RecordCodec[Record | Tried] = RecordCodec((*get_args(Record), Tried))


class LastRecord(Message, frozen=True, kw_only=True):
    """To oneself, after everything that waits: now it may stop."""


class JournalActor(Actor):
    def __init__(self, database: Database, acks: AckPort, spool: Spool, kaiser_id: str) -> None:
        super().__init__()
        self._database = database
        self._mark_name = mark_name(kaiser_id)
        self._tried: dict[str, int] = {}
        self._spool = spool
        self._acks = acks
        self._records: GroupCommit[Record]

    def on_start(self) -> None:
        self._records = GroupCommit(
            self.context,
            group_size=GROUP,
            linger_s=LINGER_S,
            write=self._write,
            set_aside=self._set_aside,
        )

    def on_receive(self, message: object) -> None:
        if isinstance(message, Record):
            if len(self._records) >= KEEP_WHILE_AWAY:
                self.context.reject(
                    message, "the database is away and the journal is full", kind="JOURNAL_FULL"
                )
                return
            self._records.add(message)
        elif isinstance(message, Flush):
            self._records.flush()
        elif isinstance(message, LastRecord):
            self.context.exit()
        else:
            self.context.unhandled(message)
        self.context.publish("last_error", self._records.last_error)

    def on_stop_request(self) -> bool:
        # A stop overtakes, but earlier messages must be written first.
        return self.context.own.offer(LastRecord())

    def on_stop(self) -> None:
        self._records.flush()
        self._database.close_thread()

    def on_failure(self, *_exc_info: object) -> None:
        self._database.close_thread()

    def _write(self, group: Sequence[Record]) -> None:
        if self._spool.holds(Stream.JOURNAL):
            self._keep_aside(group)
        else:
            mark = secrets.token_hex(8)
            try:
                self._store(group, mark)
            except DatabaseUnavailable:
                # The answer may be lost although the records are stored.
                self._tried[mark] = len(group)
                self._keep_aside(group)
        self._tried.clear()
        self._acks.acknowledge([ack for record in group if (ack := _ack_of(record)) is not None])

    def _store(self, group: Sequence[Record], mark: str) -> None:
        with self._database.transaction():
            stored = 0
            if self._tried:
                stored = self._tried.get(claim_position(self._database, self._mark_name), 0)
            keep_position(self._database, self._mark_name, mark, len(group))
            write_records(self._database, group[stored:])

    def _keep_aside(self, group: Sequence[Record]) -> None:
        # An acknowledgement is valid only for its own connection.
        bare: list[Record | Tried] = [
            msgspec.structs.replace(record, ack=None)
            if isinstance(record, RecordAudit) and record.ack is not None
            else record
            for record in group
        ]
        if self._tried:
            bare.insert(0, Tried(marks=self._tried))
        self._spool.append_journal(len(bare), CODEC.encode(bare))

    def _set_aside(self, record: Record, why: str) -> None:
        self.context.reject(record, why, kind="NOT_STORABLE")
        ack = _ack_of(record)
        if ack is not None:
            self._acks.acknowledge([ack])


def mark_name(kaiser_id: str) -> str:
    """The name of the mark of the last stored group; several gateways may share a database."""
    return f"{kaiser_id}/journal-live"


def without_stored(records: Sequence[Record | Tried], mark: str) -> list[Record | Tried]:
    """The records of one spool body; stored ones are replaced by a `Tried`.

    `mark` is the mark in the database. The number of records is kept, because they are counted.
    """
    if not records or not isinstance(records[0], Tried):
        return list(records)
    stored = records[0].marks.get(mark, 0)
    return [*[records[0]] * (1 + stored), *records[1 + stored :]]


def _ack_of(record: Record) -> tuple[int, int] | None:
    return record.ack if isinstance(record, RecordAudit) else None


def write_records(database: Database, group: Sequence[Record | Tried]) -> None:
    """Store them in order, within the caller's transaction."""
    entries = [record.entry for record in group if isinstance(record, RecordAudit)]
    if entries:
        audit.append_entries(database, entries)
    batch = Batch()
    for record in group:
        match record:
            case RecordVerdict(command=command, verdict=verdict):
                history.record_verdict(batch, command, verdict)
            case RecordOutcome(outcome=outcome):
                history.record_outcome(
                    batch, outcome.correlation_id, outcome.state, outcome.message, outcome.at
                )
            case RecordActuator(key=key, memory=memory):
                history.record_actuator(batch, key, memory)
            case RecordRule(rule_id=rule_id, at=at, memory=memory, decision=decision):
                history.record_rule_memory(batch, rule_id, memory)
                if decision is not None:
                    history.record_execution(
                        batch, rule_id, at, decision, record.findings, record.commands
                    )
            case RecordHold(key=key, hold=hold):
                history.record_hold(batch, key, hold)
            case RecordSafety(body=body, at=at):
                history.record_safety(batch, body, at)
            case RecordAudit() | RecordRuntime() | Tried():
                pass
    database.execute_all(batch.statements)
