"""The broker actor and its five connections.

The kinds of faults: one connection lost while the others go on (a stop without its commands, an answer
without its ingest); two gateways that take each other's ids for ever, without a word.
"""

from __future__ import annotations

import pytest

from godkaiser import paths
from godkaiser.actors.link.broker import LINK_GROUP, BrokerActor, LinkDown, LinkUp
from godkaiser.actors.link.router import RouterActor
from godkaiser.domain.link_rivalry import CALM_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, Rivalry
from godkaiser.mqtt import client as client_module
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.outgoing import WORN_AT
from godkaiser.mqtt.ports import open_ports
from godkaiser.protocol.outbound import ConfigPart, actuator_command
from godkaiser.supervision import Actor, ActorSystem, ChildSpec, ThreadedRuntime, supervisor
from tests.mqtt.scripted_broker import PUBACK, PUBLISH, PUBREC, ScriptedBroker
from tests.mqtt.test_client import Fates
from tests.waiting import eventually

IDS = [f"godkaiser-god-{name}" for name in ("commands", "stops", "out", "in", "control")]
ON = actuator_command("ON", 1.0, 60, "c1", "user:admin")
OFF = actuator_command("OFF", 0.0, 0, "c2", "user:admin")
DEVICE, GPIO = "ESP_A00001", 25


class Observer(Actor):
    """Where the safety actor is: hears of the link."""

    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    def on_start(self):
        self.context.join(LINK_GROUP)

    def on_receive(self, message):
        self._heard.append(message)


class Gateway:
    """The link of a gateway, and nothing else of it."""

    def __init__(self, port, kaiser_id="god"):
        self.ports = open_ports(kaiser_id)
        self.heard = []
        address = BrokerAddress(host="127.0.0.1", port=port)
        ports = self.ports
        link = [
            ChildSpec(name="router", factory=lambda: RouterActor(ports.acks, kaiser_id)),
            ChildSpec(
                name="broker", factory=lambda: BrokerActor(lambda: address, kaiser_id, ports)
            ),
        ]
        observer = ChildSpec(name="observer", factory=lambda: Observer(self.heard))
        control = supervisor("control", [observer, supervisor("link", link)])
        self.system = ActorSystem(supervisor("gateway", [control]), ThreadedRuntime())
        self.system.start()

    @property
    def view(self):
        return self.system.published_value(paths.BROKER, "view")

    def until(self, condition):
        eventually(condition)

    def up(self):
        self.until(lambda: self.ports.control.is_up)
        return self

    def count(self, kind):
        return sum(isinstance(message, kind) for message in self.heard)


@pytest.fixture
def broker():
    made = ScriptedBroker()
    yield made
    made.close()


@pytest.fixture
def make():
    made = []

    def gateway(port, **options):
        made.append(Gateway(port, **options))
        return made[-1].up()

    yield gateway
    for one in made:
        one.system.stop()


def test_each_kind_of_traffic_has_its_connection(broker, make):
    gateway = make(broker.port)
    assert broker.connected == IDS
    ports = gateway.ports
    fates = Fates()
    clearance = ports.gate.clear(DEVICE, GPIO, 1, 1e12)
    ports.commands.energise(DEVICE, GPIO, ON, clearance, fates.of("on"))
    ports.commands.release(DEVICE, GPIO, OFF, fates.of("off"))
    ports.stops.broadcast(b"{}")
    ports.devices.config(DEVICE, ConfigPart("c", 1))
    fates.until(2)
    broker.until(lambda: len(broker.delivered) == 5)
    by = {packet.topic.rsplit("/", 1)[1]: packet.client for packet in broker.delivered}
    assert by == {"status": IDS[2], "command": IDS[0], "emergency": IDS[1], "config": IDS[2]}


@pytest.mark.parametrize("lost", IDS)
def test_when_one_connection_is_lost_all_are_closed_and_opened_again(broker, make, lost):
    gateway = make(broker.port)
    broker.silent = {PUBREC}
    fates = Fates()
    gateway.ports.commands.release(DEVICE, GPIO, OFF, fates.of("off"))
    broker.until(lambda: any(packet.qos == 2 for packet in broker.of(PUBLISH)))
    broker.refuse_connections()
    broker.hang_up(lost)
    assert fates.until(1) == {"off": Fate.WITHHELD}
    gateway.until(lambda: gateway.count(LinkDown) == 1)
    with pytest.raises(NotConnected):
        gateway.ports.stops.broadcast(b"{}")
    broker.until(lambda: not broker.open_clients())


def test_worn_commands_are_renewed_and_nothing_else_is_touched(broker, make):
    """Five rounds of withheld commands: packet ids never run out, and an OFF is never lost."""
    gateway = make(broker.port)
    ports = gateway.ports
    fates = Fates()
    for generation in range(1, 6):
        broker.silent = {PUBREC}
        held = [(gpio, ports.gate.clear(DEVICE, gpio, generation, 1e12)) for gpio in range(WORN_AT)]
        before = len(broker.of(PUBLISH, IDS[0]))
        for gpio, clearance in held:
            name = f"on {generation} {gpio}"
            ports.commands.energise(DEVICE, gpio, ON, clearance, fates.of(name))
        broker.until(lambda before=before: len(broker.of(PUBLISH, IDS[0])) == before + WORN_AT)
        ports.gate.revoke_all()
        broker.answer()
        ports.commands.release(DEVICE, GPIO, OFF, fates.of(f"off {generation}"))
        fates.until(generation * (WORN_AT + 1))
        broker.until(lambda generation=generation: broker.connected.count(IDS[0]) == 1 + generation)
    assert broker.connected.count(IDS[1]) == 1
    assert gateway.count(LinkDown) == 0
    assert {fate for name, fate in fates.known.items() if "on" in name} == {Fate.WITHHELD}
    assert {fate for name, fate in fates.known.items() if "off" in name} == {Fate.DELIVERED}


def test_a_second_gateway_with_the_same_id_is_named_and_there_is_no_storm(broker, make):
    first = make(broker.port)
    second = make(broker.port)
    first.until(lambda: not first.view.connected)
    assert "kaiser_id 'god'" in first.view.last_error
    assert first.view.rivals == 1
    pause_s = float(first.view.last_error.rsplit("in ", 1)[1].split(" ")[0])
    assert pause_s >= FIRST_PAUSE_S
    assert second.view.connected
    assert broker.connected == IDS * 2


def test_a_broker_that_goes_away_is_not_taken_for_a_rival(mosquitto_factory, make):
    mosquitto = mosquitto_factory()
    gateway = make(mosquitto.port)
    mosquitto.restart()
    gateway.until(lambda: gateway.count(LinkUp) == 2)
    assert gateway.view.rivals == 0


def test_a_broker_that_confirms_nothing_is_not_taken_for_a_rival(broker, make, monkeypatch):
    monkeypatch.setattr(client_module, "OVERDUE_S", 0.5)
    gateway = make(broker.port)
    broker.silent = {PUBACK}
    gateway.ports.stops.broadcast(b"{}")
    gateway.until(lambda: gateway.count(LinkDown) == 1)
    assert "has not confirmed" in gateway.view.last_error
    assert gateway.view.rivals == 0


def test_two_gateways_on_one_mosquitto_stay_apart(mosquitto_factory, make):
    mosquitto = mosquitto_factory()
    gateways = [make(mosquitto.port, kaiser_id="north"), make(mosquitto.port, kaiser_id="south")]
    for gateway in gateways:
        gateway.ports.stops.broadcast(b"{}")
    assert all(gateway.view.connected and not gateway.view.rivals for gateway in gateways)


def test_rivals_stay_away_longer_each_time_and_start_afresh_when_one_is_gone():
    rivalry, now, pauses = Rivalry(), 0.0, []
    for _ in range(10):
        rivalry = rivalry.connected(now)
        now += 20.0
        rivalry = rivalry.taken_over(now)
        pauses.append(rivalry.pause_s(0.0))
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    assert rivalry.pause_s(1.0) == 2 * LONGEST_PAUSE_S
    rivalry = rivalry.connected(now)
    assert rivalry.pause_s(0.5) == 0.0
    assert rivalry.taken_over(now + CALM_S).pause_s(0.0) == FIRST_PAUSE_S
