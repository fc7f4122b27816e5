"""Law 1: who may publish what, and that there is no other way."""

from __future__ import annotations

import ast
import copy
import threading
from pathlib import Path

import pytest

import godkaiser
from godkaiser.domain.entities import Subzone
from godkaiser.domain.safety.standing_orders import Standing
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import Clearance, ClearanceExpired, Fate
from godkaiser.mqtt.ports import STOP_OVERDUE_S, Link, NotAllowed, open_ports
from godkaiser.protocol.outbound import ConfigPart, actuator_command, device_emergency

DEVICE, GPIO = "ESP_A00001", 25
ON = actuator_command("ON", 1.0, 60, "c1", "user:admin")
OFF = actuator_command("OFF", 0.0, 0, "c2", "user:admin")


class Wire:
    """Stands where the connections are; the ports' own rules are what is tested here.

    `acknowledges`: as a broker that answers at once; otherwise `answer` does it later.
    """

    is_open = True
    session = 1

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.sent: list[tuple[str, bytes, int, bool]] = []
        self.acknowledged: list[int] = []
        self._acknowledges = acknowledges
        self._flights: list = []

    def publish(self, topic, payload, *, qos, retain=False, on_fate=None):
        self._fly((topic, payload, qos, retain), lambda: True, on_fate)

    def publish_held(self, topic, payload, may_release, on_fate):
        self._fly((topic, payload, 2, False), may_release, on_fate)

    def answer(self) -> None:
        """The PUBRECs and PUBACKs come: what may be released is delivered."""
        flights, self._flights = self._flights, []
        for message, may_release, on_fate in flights:
            fate = Fate.DELIVERED if may_release() else Fate.WITHHELD
            if fate is Fate.DELIVERED:
                self.sent.append(message)
            if on_fate is not None:
                on_fate(fate)

    def acknowledge(self, mids):
        self.acknowledged.extend(mids)

    def _fly(self, message, may_release, on_fate):
        self._flights.append((message, may_release, on_fate))
        if self._acknowledges:
            self.answer()


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def ports(clock):
    return open_ports("god", lambda: clock[0])


def attach(ports, wire, stops=None):
    ports.control.attach(Link(commands=wire, stops=stops or wire, devices=wire))
    return wire


@pytest.fixture
def wire(ports):
    return attach(ports, Wire())


def test_a_clearance_lets_one_actuator_be_energised(ports, wire):
    fates = []
    ports.commands.energise(
        DEVICE, GPIO, ON, ports.gate.clear(DEVICE, GPIO, 1, 110.0), fates.append
    )
    assert wire.sent == [(f"kaiser/god/esp/{DEVICE}/actuator/{GPIO}/command", ON, 2, False)]
    assert fates == [Fate.DELIVERED]


ENDS = {
    "a stop of everything": lambda gate, _clock: gate.revoke_all(),
    "a stop of the device": lambda gate, _clock: gate.revoke(DEVICE),
    "an OFF": lambda gate, _clock: gate.supersede(DEVICE, GPIO, 2),
    "a newer command": lambda gate, _clock: gate.clear(DEVICE, GPIO, 2, 110.0),
    "its age": lambda _gate, clock: clock.__setitem__(0, 110.0),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_clearance_that_has_ended_publishes_nothing(ports, wire, clock, end):
    before = ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    end(ports.gate, clock)
    with pytest.raises(ClearanceExpired):
        ports.commands.energise(DEVICE, GPIO, ON, before, never_called)
    assert wire.sent == []


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_clearance_that_ends_before_the_release_withholds_the_command(ports, clock, end):
    slow = attach(ports, Wire(acknowledges=False))
    fates = []
    clearance = ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    ports.commands.energise(DEVICE, GPIO, ON, clearance, fates.append)
    end(ports.gate, clock)
    ports.commands.release(DEVICE, GPIO, OFF)
    slow.answer()
    assert fates == [Fate.WITHHELD]
    assert [payload for _, payload, _, _ in slow.sent] == [OFF]


def test_a_stop_of_one_device_leaves_the_clearances_of_others(ports, wire):
    other = ports.gate.clear("ESP_A00002", GPIO, 1, 110.0)
    ports.gate.revoke(DEVICE)
    ports.commands.energise("ESP_A00002", GPIO, ON, other, lambda _fate: None)
    assert len(wire.sent) == 1


@pytest.mark.parametrize("end", [lambda gate: gate.revoke_all(), lambda gate: gate.revoke(DEVICE)])
def test_a_stop_ends_what_a_device_may_do_alone_in_the_same_step(ports, wire, end):
    rule = {"actuator_gpio": GPIO, "sensor_value_type": "ds18b20"}
    pushed = ConfigPart("c", 1, offline_rules=[dict(rule)])
    ports.gate.allow_standing(DEVICE, Standing((rule,), may_leave_safe_mode=True))
    ports.devices.config(DEVICE, pushed)
    end(ports.gate)
    with pytest.raises(NotAllowed):
        ports.devices.config(DEVICE, pushed)
    with pytest.raises(NotAllowed):
        ports.devices.subzone_assign(DEVICE, Subzone(subzone_id="bench"), "c", safe_mode=False)
    with pytest.raises(NotAllowed):
        ports.devices.subzone_safe(DEVICE, "bench", "", "c", enable=False)
    assert len(wire.sent) == 1


def test_after_a_stop_new_clearances_are_worth_something(ports, wire):
    ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    ports.gate.revoke_all()
    ports.gate.revoke(DEVICE)
    again = ports.gate.clear(DEVICE, GPIO, 2, 110.0)
    ports.commands.energise(DEVICE, GPIO, ON, again, lambda _fate: None)
    assert len(wire.sent) == 1


def test_an_older_generation_never_comes_back(ports):
    ports.gate.supersede(DEVICE, GPIO, 5)
    assert not ports.gate.is_current(ports.gate.clear(DEVICE, GPIO, 4, 110.0))
    current = ports.gate.clear(DEVICE, GPIO, 6, 110.0)
    ports.gate.supersede(DEVICE, GPIO, 5)
    assert ports.gate.is_current(current)


def test_a_clearance_of_another_actuator_or_of_somebody_else_opens_nothing(ports, wire):
    theirs = ports.gate.clear(DEVICE, 26, 1, 110.0)
    own = ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    forged = Clearance(DEVICE, GPIO, 1, (0, 0), 110.0)
    copied = copy.copy(own)
    foreign = open_ports("god").gate.clear(DEVICE, GPIO, 1, 1e12)
    for clearance in (theirs, forged, copied, foreign):
        with pytest.raises(ClearanceExpired):
            ports.commands.energise(DEVICE, GPIO, ON, clearance, never_called)
    assert wire.sent == []


def test_a_clearance_cannot_be_changed(ports):
    clearance = ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    with pytest.raises(AttributeError):
        clearance.gpio = 26
    with pytest.raises(AttributeError):
        clearance.expires_at = 1e12


def never_called(fate):
    pytest.fail(f"nothing was published, yet its fate is {fate}")


def test_without_a_clearance_only_an_off_leaves(ports, wire):
    ports.commands.release(DEVICE, GPIO, OFF)
    with pytest.raises(ValueError, match="only an OFF"):
        ports.commands.release(DEVICE, GPIO, ON)
    assert [payload for _, payload, _, _ in wire.sent] == [OFF]


def test_nothing_is_released_after_a_revocation_however_threads_interleave(ports):
    """The network thread asks without a lock: what it asks after the revocation is refused."""
    wire = attach(ports, Wire(acknowledges=False))
    for generation in range(1, 200):
        wire.sent.clear()
        clearance = ports.gate.clear(DEVICE, GPIO, generation, 110.0)
        for _ in range(5):
            ports.commands.energise(DEVICE, GPIO, ON, clearance, lambda _fate: None)
        start = threading.Barrier(2)
        released_before: list[int] = []

        def network(start=start):
            start.wait()
            wire.answer()

        thread = threading.Thread(target=network)
        thread.start()
        start.wait()
        ports.gate.revoke_all()
        released_before.append(len(wire.sent))
        thread.join()
        # One may have been between its check and the wire when the stop came.
        assert len(wire.sent) <= released_before[0] + 1


OVERDUE_S = 1.0


def stop_payload(command="emergency_stop"):
    return device_emergency(command, "test", "c3")


def test_a_stop_without_acknowledgement_goes_out_once_more_by_the_command_connection(ports, clock):
    commands = Wire()
    silent = Wire(acknowledges=False)
    attach(ports, commands, stops=silent)
    ports.stops.broadcast(b"{}")
    ports.stops.stop_device(DEVICE, stop_payload())
    assert ports.stops.resend_overdue() == 0
    assert ports.stops.next_resend_in_s() == pytest.approx(STOP_OVERDUE_S)
    clock[0] += OVERDUE_S
    assert ports.stops.next_resend_in_s() == 0.0
    assert ports.stops.resend_overdue() == 2
    assert ports.stops.next_resend_in_s() is None
    assert ports.stops.resend_overdue() == 0
    assert [(topic, qos) for topic, _, qos, _ in commands.sent] == [
        ("kaiser/broadcast/emergency", 1),
        (f"kaiser/god/esp/{DEVICE}/actuator/emergency", 1),
    ]


def test_an_acknowledged_stop_a_clear_and_a_cleared_stop_are_not_repeated(ports, clock):
    commands = Wire()
    stops = Wire(acknowledges=False)
    attach(ports, commands, stops=stops)
    ports.stops.broadcast(b"{}")
    stops.answer()
    ports.stops.stop_device(DEVICE, stop_payload())
    ports.stops.clear_device(DEVICE, stop_payload("clear_emergency"))
    ports.stops.clear_retained_broadcast()
    clock[0] += OVERDUE_S
    assert ports.stops.resend_overdue() == 0
    assert commands.sent == []


def test_without_a_connection_nothing_is_kept_for_later(ports):
    clearance = ports.gate.clear(DEVICE, GPIO, 1, 110.0)
    with pytest.raises(NotConnected):
        ports.commands.energise(DEVICE, GPIO, ON, clearance, never_called)
    wire = attach(ports, Wire())
    assert wire.sent == []


def test_nothing_but_clears_is_retained(ports, wire):
    ports.stops.broadcast(b"{}")
    ports.stops.stop_device(DEVICE, stop_payload())
    ports.devices.heartbeat_ack(DEVICE, b"{}")
    ports.devices.config(DEVICE, ConfigPart("c", 1))
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


def test_only_the_actuator_actor_commands_and_only_the_safety_actor_clears():
    command = {("_port", "energise"), ("_port", "release"), ("commands", "energise")}
    assert _callers(command) == {"actors/safety/actuator.py"}
    clear = {("_gate", "clear"), ("gate", "clear")}
    assert _callers(clear) == {"actors/safety/plant.py"}
    makers = {name for name, source in _sources().items() if "CommandService(" in source}
    assert makers == {"actors/safety/safety_actor.py"}
    revoke = {("_gate", "revoke_all"), ("_gate", "revoke")}
    assert _callers(revoke) == {"actors/safety/safety_actor.py", "actors/safety/emergency_stops.py"}
    assert _callers({("_port", "broadcast"), ("stops", "broadcast")}) == {
        "actors/safety/stop_wire.py"
    }


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
                       ("connection", "publish"), ("connection", "publish_and_wait"),
                       ("commands", "publish"), ("commands", "publish_held"),
                       ("stops", "publish"), ("devices", "publish")}  # fmt: skip
    assert _callers(over_connection) == {"actors/link/broker.py", "mqtt/ports.py"}
    assert _callers({("_client", "publish")}) == set()
    assert _callers({("_client", "submit")}) == {"mqtt/connection.py"}
    broker = ast.parse(_sources()["actors/link/broker.py"])
    published = {
        ast.unparse(node.args[0])
        for node in ast.walk(broker)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "attr", "") in {"commands", "stops", "devices"}
        and node.func.attr.startswith("publish")
    }
    assert published == {"topics.server_status(self._kaiser_id)"}
