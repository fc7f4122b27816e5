"""The audit trail's chain, on both databases: what was done to it shows."""

from __future__ import annotations

import pytest

from godkaiser.storage.audit import chain as audit_chain
from godkaiser.storage.audit import trail as audit
from godkaiser.storage.audit.chain import examine, forget_before
from godkaiser.storage.audit.trail import AuditQuery

NOW = 1_767_096_000.0


def entry(n, **changes):
    fields = {"at": NOW + n, "who": "user:admin", "what": f"did {n}", "details": '{"n": 1.5}'}
    return audit.AuditEntry(**{**fields, **changes})


@pytest.fixture
def trail(database):
    """Ten entries in two writes."""
    audit.append_entries(database, [entry(n) for n in range(5)])
    audit.append_entries(database, [entry(n) for n in range(5, 10)])
    return database


def change(database, statement):
    with database.transaction() as cursor:
        cursor.execute(statement)


def test_what_was_written_fits_over_many_batches(trail, monkeypatch):
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    report = examine(trail)
    assert (report.entries, report.problem) == (10, "")
    assert [e.what for e in audit.newest(trail, AuditQuery(limit=2))] == ["did 9", "did 8"]


@pytest.mark.parametrize(
    "column", ["at", "who", "what", "source", "result", "correlation_id", "details", "hash"]
)
def test_any_change_to_an_entry_is_found(trail, column):
    value = "1.0" if column == "at" else "'mallory'"
    change(trail, f"UPDATE audit_log SET {column} = {value} WHERE seq = 4")
    report = examine(trail)
    assert (report.seq, report.entries) == (4, 3)
    assert report.problem


@pytest.mark.parametrize(
    ("removed", "seq"), [("seq = 1", 2), ("seq = 4", 5), ("seq = 10", None), ("seq > 0", None)]
)
def test_entries_that_were_removed_are_missed_at_either_end_too(trail, removed, seq):
    change(trail, f"DELETE FROM audit_log WHERE {removed}")
    report = examine(trail)
    assert report.problem
    assert report.seq == seq


def test_a_chain_that_was_computed_anew_does_not_hold_the_head_that_was_noted(trail):
    noted = examine(trail).head
    audit.append_entries(trail, [entry(10)])
    assert not examine(trail, noted).problem, "it has only grown"
    change(trail, "DELETE FROM audit_log")
    change(trail, f"UPDATE audit_chain SET hash = '{audit.GENESIS}' WHERE name = 'head'")
    audit.append_entries(trail, [entry(n, who="user:mallory") for n in range(11)])
    assert not examine(trail).problem, "which nothing in the database can show"
    assert noted in examine(trail, noted).problem


def test_the_beginning_can_be_forgotten_and_the_rest_still_fits(trail):
    assert forget_before(trail, NOW + 7, 4) == 4
    assert forget_before(trail, NOW + 7, 4) == 3
    assert forget_before(trail, NOW + 7, 4) == 0
    assert (examine(trail).entries, examine(trail).problem) == (3, "")
    change(trail, "DELETE FROM audit_log WHERE seq = 8")
    assert examine(trail).seq == 9
    forget_before(trail, NOW + 100, 100)
    audit.append_entries(trail, [entry(11)])


def test_all_of_it_can_be_forgotten(trail):
    assert forget_before(trail, NOW + 100, 100) == 10
    assert not examine(trail).problem
    audit.append_entries(trail, [entry(11)])
    assert (examine(trail).entries, examine(trail).problem) == (1, "")


def test_statistics_count_by_result_who_and_what(trail):
    audit.append_entries(trail, [entry(20, who="user:eve", what="login", result="failed")] * 3)
    found = audit.statistics(trail, NOW, NOW + 100)
    assert found.entries == 13
    assert (found.oldest, found.newest) == (NOW, NOW + 20)
    assert found.by_result == {"ok": 10, "failed": 3}
    assert found.by_who == {"user:admin": 10, "user:eve": 3}
    assert found.by_what["login"] == 3
    assert audit.statistics(trail, NOW + 21, None).entries == 0
    assert [e.what for e in audit.newest(trail, AuditQuery(start=NOW + 1, end=NOW + 3))] == [
        "did 2",
        "did 1",
    ]
