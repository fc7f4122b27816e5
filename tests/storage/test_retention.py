"""Forgetting, on both databases: what is old goes in small transactions, nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.config.settings import RetentionConfig
from godkaiser.domain.entities import Quality, Reading, SensorKey
from godkaiser.domain.records.retention import DAY_S, after_batch, plan, summary
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.series.readings import ReadingWriter
from godkaiser.storage.series.retention import Kind, count_before, delete_before

NOW = 1_767_096_000.0


def store(database, gpio, times):
    key = SensorKey("ESP_A00001", gpio, "ds18b20", "")
    ReadingWriter(database).write(
        [
            Reading(key, at, at, 1.0, 1.0, "", Quality.GOOD, content_key=n)
            for n, at in enumerate(times)
        ]
    )


def left(database):
    return sorted(ms / 1000.0 for (ms,) in database.fetch("SELECT at_ms FROM sensor_data"))


def test_old_readings_of_all_series_go_in_batches_and_the_rest_stays(database):
    store(database, 4, [NOW - n for n in range(50)])
    store(database, 5, [NOW - n for n in range(50)])
    before = NOW - 19.5
    assert count_before(database, Kind.READINGS, before) == 60
    assert [delete_before(database, Kind.READINGS, before, 25) for _ in range(4)] == [25, 25, 10, 0]
    assert left(database) == sorted([NOW - n for n in range(20)] * 2)


def test_old_commands_and_executions_go(database):
    for n in range(10):
        database.execute(
            "INSERT INTO command_history (correlation_id, esp_id, gpio, verb, value, duration_s,"
            " issuer, requested_at, state, message, verdict) VALUES (?,'E',1,'ON',1,0,'u',?,'s','','')",
            (f"c{n}", NOW + n),
        )
        database.execute(
            "INSERT INTO rule_executions (rule_id, at, body) VALUES (1,?,'{}')", (NOW + n,)
        )
    for kind in (Kind.COMMANDS, Kind.EXECUTIONS):
        assert count_before(database, kind, NOW + 4) == 4
        assert [delete_before(database, kind, NOW + 4, 3) for _ in range(3)] == [3, 1, 0]
        assert count_before(database, kind, NOW + 100) == 6


def test_a_batch_that_fails_is_rolled_back_as_a_whole(database, monkeypatch):
    store(database, 4, [NOW - n for n in range(10)])
    store(database, 5, [NOW - n for n in range(10)])
    statements = iter(["DELETE FROM no_such_table"])
    real = database.sql

    def fails_at_the_second_series(text):
        return next(statements) if "DELETE" in text and len(left_of_series(4)) == 0 else real(text)

    def left_of_series(gpio):
        return database.fetch(
            "SELECT at_ms FROM sensor_data JOIN series ON series.id = series_id WHERE gpio = ?",
            (gpio,),
        )

    monkeypatch.setattr(database, "sql", fails_at_the_second_series)
    with pytest.raises(Exception, match="no_such_table"):
        delete_before(database, Kind.READINGS, NOW + 1, 100)
    monkeypatch.undo()
    assert len(left(database)) == 20


kinds = st.sampled_from([0, 1, 30])


@given(kinds, kinds, kinds, st.lists(st.integers(0, 1000), max_size=150), st.booleans())
def test_a_run_ends_and_counts_what_it_did(readings, history, audit, counts, dry_run):
    kept_days = {"readings": readings, "commands": history, "executions": history, "audit": audit}
    run = plan(kept_days, NOW, dry_run=dry_run)
    for kind, before in run.bounds:
        assert before <= NOW - DAY_S, f"{kind} of less than a day"
    removed = 0
    for count in [*counts, *[0] * len(run.bounds)]:
        if run.current is None:
            break
        run = after_batch(run, count, 1000)
        removed += count
    assert run.current is None
    assert sum(run.removed.values()) == removed
    assert ("would be" in summary(run)) == (dry_run and bool(run.removed))


def test_however_much_there_is_of_one_kind_the_others_get_their_turn():
    run = plan(
        dict.fromkeys(("readings", "commands", "executions", "audit"), 1), NOW, dry_run=False
    )
    kinds = []
    while len(kinds) < 500:
        kind, _ = run.current
        kinds.append(kind)
        run = after_batch(run, 1000 if kind == "readings" else 10, 1000)
    assert kinds[:5] == ["readings", "commands", "executions", "audit", "readings"]
    assert set(kinds[4:]) == {"readings"}


def test_nothing_is_forgotten_unless_somebody_says_so():
    assert RetentionConfig() == RetentionConfig(
        readings_days=0, minutes_days=0, hours_days=0, history_days=0, audit_days=0, dry_run=True
    )
    run = plan({"readings": 0, "audit": 0}, NOW, dry_run=False)
    assert run.current is None
    assert "every period in [retention] is 0" in summary(run)


def test_a_database_that_is_away_is_an_error_that_says_so(database, monkeypatch):
    database.close_thread()
    monkeypatch.setattr(database.engine, "connect", _away)
    with pytest.raises(DatabaseUnavailable):
        delete_before(database, Kind.COMMANDS, NOW, 10)


def _away(**_how):
    import peewee

    raise peewee.OperationalError("away")
