"""A gateway whose services fail goes on controlling, says so, and is whole again by itself.

The kind of fault: a part that control does not need ends the process (proof 15), or a part that only waits
for the database is taken for one that is broken.
"""

from __future__ import annotations

import pytest

from godkaiser import paths
from godkaiser.config.settings import Config, GatewayConfig, HttpConfig, MqttConfig
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.gateway import Gateway
from godkaiser.storage.engine.database import Database
from tests.system.site import Client
from tests.waiting import eventually

USES = ("transaction", "rows", "run", "execute", "fetch")


@pytest.fixture
def gateway(tmp_path):
    """Without a broker: control and services do not need one to be up."""
    gateway = Gateway(
        Config(
            gateway=GatewayConfig(data_dir=str(tmp_path)),
            http=HttpConfig(listen="127.0.0.1:0"),
            mqtt=MqttConfig(port=1),
        )
    )
    gateway.start()
    yield gateway
    assert gateway.stop()


@pytest.fixture
def away(monkeypatch):
    """Call the result: from then on the database is away; its own `undo` brings it back."""

    def refuse(*_args, **_how):
        raise DatabaseUnavailable(reason="away")

    patch = pytest.MonkeyPatch()

    def go():
        for name in USES:
            patch.setattr(Database, name, refuse)
        return patch

    yield go
    patch.undo()


def health(gateway):
    client = Client(gateway.http_port)
    try:
        return client.call("GET", "/health")[1]
    finally:
        client.close()


def crash(system, *chosen):
    """Each is up again, or the whole is over."""
    before = {path: system.info(path).incarnation for path in chosen}
    for path in chosen:
        system.crash(path)
    eventually(lambda: system.terminated.is_set() or all(
        system.info(path).incarnation > number for path, number in before.items()
    ), 60.0)  # fmt: skip


def test_crashes_of_every_service_leave_the_gateway_up(gateway):
    """Six crashes of a report ended it with code 70."""
    system = gateway.system
    guard = system.info(paths.SAFETY).incarnation
    for _ in range(7):
        crash(system, *system.children(paths.SERVICES))
    eventually(lambda: not system.not_up(), 60.0)
    assert not system.terminated.is_set()
    assert system.info(paths.SAFETY).incarnation == guard
    eventually(lambda: health(gateway)["actors"]["not_up"] == 0)


@pytest.mark.parametrize(
    "path", [paths.RECALCULATOR, paths.REGISTRAR, paths.WEBHOOK_KEEPER, paths.MOCK_KEEPER]
)
def test_a_service_that_crashes_while_the_database_is_away_waits_and_is_shown(gateway, away, path):
    """One crash of it ended the gateway 10 s later."""
    system = gateway.system
    back = away()
    system.crash(path)
    info = eventually(lambda: (i := system.info(path)).waiting_for and i)
    assert "away" in info.waiting_for
    eventually(lambda: path in health(gateway)["actors"]["paths"])
    assert health(gateway)["status"] == "degraded"
    assert system.info(paths.CONTROL).incarnation == 1
    assert not system.terminated.is_set()
    back.undo()
    eventually(lambda: system.info(path).state == "running", 60.0)
    eventually(lambda: path not in health(gateway)["actors"]["paths"])


def test_control_that_gives_up_ends_the_gateway_for_systemd(gateway):
    system = gateway.system
    for _ in range(7):
        if system.terminated.is_set():
            break
        crash(system, paths.TIMEKEEPER)
    assert system.terminated.wait(60.0)
    assert system.exit_code == 70
