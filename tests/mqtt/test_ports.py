"""Law 1: who may publish what, and that there is no other way."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

import godkaiser
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import Permit, PermitExpired, open_ports
from godkaiser.protocol.outbound import actuator_command

DEVICE, GPIO = "ESP_A00001", 25
ON = actuator_command("ON", 1.0, 60, "c1", "user:admin")
OFF = actuator_command("OFF", 0.0, 0, "c2", "user:admin")


class Wire:
    """Stands where the connection is; the ports' own rules are what is tested here."""

    is_open = True
    session = 1

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, int, bool]] = []
        self.acknowledged: list[int] = []

    def publish(self, topic, payload, *, qos, retain=False):
        self.sent.append((topic, payload, qos, retain))

    def acknowledge(self, mids):
        self.acknowledged.extend(mids)


@pytest.fixture
def ports():
    return open_ports("god")


@pytest.fixture
def wire(ports):
    put_in = Wire()
    ports.control.attach(put_in)
    return put_in


def test_a_permit_lets_one_actuator_be_energised(ports, wire):
    ports.commands.energise(DEVICE, GPIO, ON, ports.permits.issue(DEVICE, GPIO))
    assert wire.sent == [(f"kaiser/god/esp/{DEVICE}/actuator/{GPIO}/command", ON, 2, False)]


@pytest.mark.parametrize("stop", ["all", "device"])
def test_a_stop_ends_every_permit_given_before_it(ports, wire, stop):
    before = ports.permits.issue(DEVICE, GPIO)
    if stop == "all":
        ports.permits.revoke_all()
    else:
        ports.permits.revoke(DEVICE)
    with pytest.raises(PermitExpired):
        ports.commands.energise(DEVICE, GPIO, ON, before)
    assert wire.sent == []


def test_a_stop_of_one_device_leaves_the_permits_of_others(ports, wire):
    other = ports.permits.issue("ESP_A00002", GPIO)
    ports.permits.revoke(DEVICE)
    ports.commands.energise("ESP_A00002", GPIO, ON, other)
    assert len(wire.sent) == 1


def test_a_permit_of_another_actuator_or_of_somebody_else_opens_nothing(ports, wire):
    theirs = ports.permits.issue(DEVICE, 26)
    forged = Permit(object(), (0, 0), DEVICE, GPIO)
    foreign = open_ports("god").permits.issue(DEVICE, GPIO)
    for permit in (theirs, forged, foreign):
        with pytest.raises(PermitExpired):
            ports.commands.energise(DEVICE, GPIO, ON, permit)
    assert wire.sent == []


def test_without_a_permit_only_an_off_leaves(ports, wire):
    ports.commands.release(DEVICE, GPIO, OFF)
    with pytest.raises(ValueError, match="only an OFF"):
        ports.commands.release(DEVICE, GPIO, ON)
    assert [payload for _, payload, _, _ in wire.sent] == [OFF]


def test_nothing_energising_is_published_after_a_revocation_however_threads_interleave(ports, wire):
    """Publishing and revoking exclude each other: what was published came before."""
    for _ in range(200):
        wire.sent.clear()
        revoked_after: list[int] = []
        permit = ports.permits.issue(DEVICE, GPIO)
        start = threading.Barrier(2)

        def stop(start=start, revoked_after=revoked_after):
            start.wait()
            ports.permits.revoke_all()
            revoked_after.append(len(wire.sent))

        stopper = threading.Thread(target=stop)
        stopper.start()
        start.wait()
        for _ in range(5):
            try:
                ports.commands.energise(DEVICE, GPIO, ON, permit)
            except PermitExpired:
                break
        stopper.join()
        assert len(wire.sent) == revoked_after[0]


def test_without_a_connection_nothing_is_kept_for_later(ports):
    permit = ports.permits.issue(DEVICE, GPIO)
    with pytest.raises(NotConnected):
        ports.commands.energise(DEVICE, GPIO, ON, permit)
    wire = Wire()
    ports.control.attach(wire)
    assert wire.sent == []


def test_nothing_but_clears_is_retained(ports, wire):
    ports.stops.broadcast(b"{}")
    ports.stops.to_device(DEVICE, b"{}")
    ports.devices.heartbeat_ack(DEVICE, b"{}")
    ports.devices.config(DEVICE, b"{}")
    ports.devices.system_command(DEVICE, b"{}")
    ports.stops.clear_retained_broadcast()
    ports.devices.clear_will(DEVICE)
    assert all(retain == (payload == b"") for _, payload, _, retain in wire.sent)


def test_acknowledgements_of_an_older_connection_are_dropped(ports):
    wire = Wire()
    wire.session = 7
    ports.acks.attach(wire)
    ports.acks.acknowledge([(6, 1), (7, 2), (6, 3), (7, 4)])
    assert wire.acknowledged == [2, 4]


# ---- the structure of the program


def _sources():
    root = Path(godkaiser.__file__).parent
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}


def _calls(source: str) -> set[tuple[str, str]]:
    """(object, method) of every method call, by the last name of the object."""
    return {
        (getattr(node.func.value, "attr", getattr(node.func.value, "id", "")), node.func.attr)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def _callers(wanted: set[tuple[str, str]]) -> set[str]:
    return {name for name, source in _sources().items() if _calls(source) & wanted}


def test_only_the_actuator_actor_commands_and_only_the_safety_actor_permits():
    command = {("_port", "energise"), ("_port", "release"), ("commands", "energise")}
    assert _callers(command) == {"actors/actuator.py"}
    permit = {("_permits", "issue"), ("permits", "issue")}
    assert _callers(permit) == {"actors/command_desk.py"}
    makers = {name for name, source in _sources().items() if "CommandDesk(" in source}
    assert makers == {"actors/safety.py"}
    revoke = {("_permits", "revoke_all"), ("_permits", "revoke")}
    assert _callers(revoke) == {"actors/safety.py", "actors/stops.py"}
    assert _callers({("_port", "broadcast"), ("stops", "broadcast")}) == {"actors/stops.py"}


def test_nobody_else_makes_a_topic_of_commands_or_stops():
    words = ("actuator_command", "actuator_emergency", "ACTUATOR_COMMAND", "ACTUATOR_EMERGENCY")
    makers = {
        name
        for name, source in _sources().items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr in words
        and isinstance(node.value, ast.Name)
        and node.value.id in {"topics", "Tail"}
    }
    # The simulator is the device: it reads these topics, and its outbox refuses to publish on them.
    makers = {name for name in makers if not name.startswith("simulator/")}
    assert makers <= {"mqtt/ports.py", "protocol/topics.py", "protocol/budget.py",
                      "protocol/outbound.py"}  # fmt: skip


def test_the_connection_publishes_for_the_ports_and_for_the_gateways_own_status_only():
    over_connection = {("_outgoing", "publish"), ("_outgoing", "publish_and_wait"),
                       ("connection", "publish"), ("connection", "publish_and_wait")}  # fmt: skip
    # `godkaiser estop` publishes a stop by itself: it must work while the gateway is down.
    assert _callers(over_connection) == {"actors/broker.py", "mqtt/ports.py", "console.py"}
    assert _callers({("_client", "publish")}) == {"mqtt/connection.py"}
    broker = ast.parse(_sources()["actors/broker.py"])
    published = {
        ast.unparse(node.args[0])
        for node in ast.walk(broker)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "attr", "") == "_outgoing"
        and node.func.attr.startswith("publish")
    }
    assert published == {"topics.server_status(self._kaiser_id)"}
