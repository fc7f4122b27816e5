"""From the spool into real databases: in order, once, and past what they refuse."""

from __future__ import annotations

import pytest

from godkaiser.actors.storage.journal import CODEC, RecordAudit, RecordRule, write_records
from godkaiser.actors.storage.replay import StreamReplay
from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.rules.rules import RuleMemory
from godkaiser.errors.storage import DatabaseUnavailable, SpoolUnavailable
from godkaiser.storage.audit import trail as audit
from godkaiser.storage.audit.chain import examine
from godkaiser.storage.audit.trail import AuditEntry, AuditQuery
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.spool.records import decode_readings
from godkaiser.storage.spool.spool import MEBIBYTE, Spool, Stream

KEY = SensorKey("ESP_A00001", 4, "ds18b20", "")
TOO_LARGE = 2**64 - 1


def reading(n, **changes):
    fields = {"key": KEY, "at": 1000.0 + n, "received_at": 2000.0, "raw": float(n), "value": 1.0,
              "unit": "°C", "quality": Quality.GOOD, "content_key": n}  # fmt: skip
    return Reading(**{**fields, **changes})


def entry(n):
    return RecordAudit(entry=AuditEntry(at=float(n), who="test", what=f"entry {n}"))


class Bench:
    """A gateway's part that replays, started anew on the same folder and database."""

    def __init__(self, folder, database):
        self.folder, self.database = folder, database
        self.rejected = []
        self.start()

    def start(self):
        self.spool = Spool(self.folder / "spool", MEBIBYTE)
        self.spool.open()
        self.readings = self._replay(
            Stream.READINGS, decode_readings, ReadingWriter(self.database).write
        )
        self.journal = self._replay(Stream.JOURNAL, CODEC.decode, self._write)

    def _replay(self, stream, decode, store):
        return StreamReplay(
            self.database, self.spool, stream, "god", decode=decode, store=store,
            reject=lambda record, detail: self.rejected.append((record, detail)),
        )  # fmt: skip

    def _write(self, records, also):
        with self.database.transaction():
            write_records(self.database, records)
            also()

    def append(self, *records):
        self.spool.append_journal(len(records), CODEC.encode(records))

    def entries(self):
        return [e.what for e in reversed(audit.newest(self.database, AuditQuery(limit=1000)))]

    def stored(self):
        return [
            int(r) for (r,) in self.database.fetch("SELECT raw FROM sensor_data ORDER BY at_ms")
        ]


@pytest.fixture
def bench(tmp_path, database):
    made = Bench(tmp_path, database)
    yield made
    made.spool.close()


def test_a_replay_stores_in_order_and_empties_the_spool(bench):
    for n in range(50):
        bench.append(entry(2 * n), entry(2 * n + 1))
        bench.spool.append_readings([reading(n)])
    while bench.spool.holds(Stream.JOURNAL):
        assert bench.journal.batch(10) == 10
    while bench.spool.holds(Stream.READINGS):
        bench.readings.batch(7)
    assert bench.entries() == [f"entry {n}" for n in range(100)]
    assert bench.stored() == list(range(50))
    assert not examine(bench.database).problem
    assert bench.spool.status().bytes == 0


def test_a_frame_is_decoded_once(bench):
    decoded = []

    def decode(body):
        decoded.append(body)
        return decode_readings(body)

    for n in range(3):
        bench.spool.append_readings([reading(n)])
    replay = bench._replay(Stream.READINGS, decode, ReadingWriter(bench.database).write)
    assert replay.batch(100) == 3
    assert len(decoded) == len(set(decoded)) == 3


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_a_crash_between_the_commit_and_the_deletion_repeats_nothing(bench, batch, monkeypatch):
    for n in range(9):
        bench.append(entry(n))
    # As if the process ended right after the commit: the files are as they were.
    monkeypatch.setattr(bench.spool, "done", lambda *_: None)
    bench.journal.batch(batch)
    bench.start()
    bench.append(entry(9))
    while bench.spool.holds(Stream.JOURNAL):
        bench.journal.batch(2)
    assert bench.entries() == [f"entry {n}" for n in range(10)]


def test_a_new_life_of_the_spool_is_not_taken_for_the_old_one(bench):
    bench.append(entry(0), entry(1))
    bench.journal.batch(10)
    bench.start()
    bench.append(entry(2))
    bench.journal.batch(10)
    assert bench.entries() == ["entry 0", "entry 1", "entry 2"]


def test_what_the_database_refuses_is_set_aside_and_the_rest_is_stored(bench):
    poison = RecordRule(rule_id=TOO_LARGE, at=0.0, memory=RuleMemory(), decision=None, findings=())
    bench.append(entry(0), poison, entry(1))
    bench.append(entry(2))
    bench.journal.batch(100)
    assert bench.entries() == ["entry 0", "entry 1", "entry 2"]
    ((record, detail),) = bench.rejected
    assert record == poison
    assert "the database refuses it" in detail
    assert not bench.spool.holds(Stream.JOURNAL)


def test_a_crash_in_the_midst_of_setting_aside_repeats_nothing(bench, monkeypatch):
    poison = RecordRule(rule_id=TOO_LARGE, at=0.0, memory=RuleMemory(), decision=None, findings=())
    bench.append(entry(0), poison, entry(1), entry(2))
    stored = []
    real = bench.journal._store

    def crashes_at_the_third(records, also):
        real(records, also)
        stored.append(records)
        if len(stored) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(bench.journal, "_store", crashes_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        bench.journal.batch(100)
    bench.start()
    bench.journal.batch(100)
    assert bench.entries() == ["entry 0", "entry 1", "entry 2"]


def test_trouble_that_is_not_of_the_record_blocks_and_loses_nothing(bench):
    bench.append(entry(0))
    bench.database.execute("ALTER TABLE audit_log RENAME TO elsewhere", ())
    with pytest.raises((SpoolUnavailable, DatabaseUnavailable), match="audit_log"):
        bench.journal.batch(100)
    bench.journal.forget_position()
    assert bench.rejected == []
    bench.database.execute("ALTER TABLE elsewhere RENAME TO audit_log", ())
    bench.journal.batch(100)
    assert bench.entries() == ["entry 0"]


def test_records_of_another_version_block_and_stay(bench):
    bench.spool.append_journal(1, b"\x91\x92\xa9Unheardof\x80")
    with pytest.raises(SpoolUnavailable, match=r"another version.*--export"):
        bench.journal.batch(100)
    assert bench.spool.holds(Stream.JOURNAL)


def test_a_redelivery_in_the_spool_finds_its_forerunner(bench):
    """Neither clock nor number: only the flag tells it from a second measurement."""
    bench.spool.append_readings([reading(1, repeatable=True)])
    again = reading(5, content_key=1, repeatable=True, redelivered=True)
    bench.spool.append_readings([again, reading(9)])
    bench.readings.batch(100)
    assert bench.stored() == [1, 9]
