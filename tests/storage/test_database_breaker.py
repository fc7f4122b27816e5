"""The breaker round a real PostgreSQL that goes away and comes back."""

from __future__ import annotations

import pytest

from godkaiser.domain.records.breaker import BreakerPolicy
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.engine.breaker import DatabaseBreaker
from godkaiser.storage.engine.database import open_database
from tests.provision.servers import PostgreSQL


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def cluster(postgres):
    made = PostgreSQL()
    made.start()
    yield made
    made.stop()


def test_a_database_that_is_away_is_left_alone_and_tried_again(cluster):
    clock = Clock()
    breaker = DatabaseBreaker(BreakerPolicy(), clock)
    database = open_database(cluster.create_database()).behind(breaker)
    cluster.stop()
    for _ in range(5):
        with pytest.raises(DatabaseUnavailable):
            database.fetch("SELECT 1")
    assert breaker.view().state == "open"
    cluster.start()
    with pytest.raises(DatabaseUnavailable) as refused, database.transaction():
        pass
    # It is back, and was not asked.
    assert refused.value.details["retry_after_s"] == 60
    assert "so no request uses it" in refused.value.message
    clock.now += 60.0
    with database.transaction() as cursor:
        # What is within is not asked again whether it may.
        cursor.execute("SELECT 1")
        assert database.fetch("SELECT 2") == [(2,)]
    assert breaker.view().state == "closed"
    database.close_all()


def test_who_probes_is_let_through_and_his_success_counts_for_all(cluster):
    breaker = DatabaseBreaker(BreakerPolicy(), Clock())
    database = open_database(cluster.create_database()).behind(breaker)
    database.close_thread()
    cluster.stop()
    for _ in range(5):
        with pytest.raises(DatabaseUnavailable):
            database.probing().fetch("SELECT 1")
    cluster.start()
    with pytest.raises(DatabaseUnavailable):
        database.fetch("SELECT 1")
    assert database.probing().fetch("SELECT 1") == [(1,)]
    assert database.fetch("SELECT 1") == [(1,)]
    database.close_all()


def test_a_mistake_in_a_statement_is_no_failure_of_the_database(database):
    clock = Clock()
    breaker = DatabaseBreaker(BreakerPolicy(failures=1), clock)
    guarded = database.behind(breaker)
    for _ in range(10):
        with pytest.raises(ValueError, match="mine"), guarded.transaction():
            raise ValueError("mine")
    assert breaker.view().failures == 0
    breaker.failed("away")
    clock.now += 60.0
    with pytest.raises(ValueError, match="mine"), guarded.transaction():
        raise ValueError("mine")
    assert breaker.view().state == "closed", "the one that was let through had an answer"
