"""The real parts, provided: a Mosquitto, a PostgreSQL, and gateways with simulated devices."""

from __future__ import annotations

import itertools
import os
from collections import Counter

import pytest
import structlog
from hypothesis import HealthCheck, settings

from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from tests.provision.install import CI, find
from tests.provision.servers import Mosquitto, PostgreSQL

LEFT_OUT: Counter[str] = Counter()

# What a property says does not depend on the pace of the machine.
settings.register_profile(
    "any pace",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any pace")
# As the program sets it up: log lines are not printed where commands answer.
structlog.configure(
    processors=[structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)


def need(program: str) -> None:
    if find(program) is None:
        if os.environ.get(CI):
            pytest.fail(f"{program} is not installed, and {CI} is set: nothing may be left out")
        LEFT_OUT[program] += 1
        pytest.skip(f"{program} is not installed")


def pytest_terminal_summary(terminalreporter) -> None:
    for program, count in LEFT_OUT.items():
        terminalreporter.write_line(f"left out for want of {program}: {count} tests")


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory):
    """A broker shared by tests that only talk to it."""
    need("mosquitto")
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def mosquitto_factory(tmp_path_factory):
    """Starts brokers of the test's own, to be stopped and killed; takes `Mosquitto`'s options."""
    need("mosquitto")
    brokers = []

    def make(**options):
        broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"), **options)
        brokers.append(broker)
        broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def own_mosquitto(mosquitto_factory):
    """A broker of the test's own, to be stopped and killed."""
    return mosquitto_factory()


@pytest.fixture(scope="session")
def postgres():
    need("postgres")
    need("initdb")
    server = PostgreSQL()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def postgres_url(postgres):
    return postgres.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request):
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def database(database_url):
    """An up-to-date database, on each engine."""
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.close_all()


_ids = itertools.count(1)


@pytest.fixture
def kaiser_id():
    """A gateway's name of the test's own, so that tests may share a broker."""
    return f"test{next(_ids)}"
