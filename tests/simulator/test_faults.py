"""Section 25.14 of the contract: faults on demand, the same for the same seed; over a real broker."""

from __future__ import annotations

import queue
import time

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.simulator.device import SimulatedDevice
from godkaiser.simulator.faults import Faults, Line, Power
from godkaiser.simulator.firmware.memory import Actuator, Memory, Sensor, Subzone
from godkaiser.simulator.flash import Flash
from godkaiser.simulator.fleet import Fleet

MESSAGES = list(range(200))


def carried(seed, faults, seconds=60.0):
    """What comes out of a line, in order, when a message goes in every 10 ms."""
    line = Line(seed)
    line.faults = faults
    out, now = [], 0.0
    for message in MESSAGES:
        now += 0.01
        out += line.put([message], now)
    return out + line.due(now + seconds)


chances = st.floats(0.0, 1.0)
faults = st.builds(
    Faults, drop=chances, delay_s=st.floats(0.0, 5.0), duplicate=chances, reorder=chances
)


@given(st.integers(0, 2**32), faults)
def test_a_line_is_the_same_for_the_same_seed_and_invents_nothing(seed, fault):
    out = carried(seed, fault)
    assert out == carried(seed, fault)
    assert set(out) <= set(MESSAGES)
    assert all(out.count(message) <= 2 for message in set(out))


def test_a_line_without_faults_passes_everything_at_once():
    assert carried(1, Faults()) == MESSAGES
    line = Line(1)
    assert line.put([1, 2], 0.0) == [1, 2]


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Faults(drop=0.5), lambda out: 50 < len(out) < 150 and out == sorted(out)),
        (Faults(drop=1.0), lambda out: out == []),
        (Faults(duplicate=1.0), lambda out: len(out) == 400 and out == sorted(out)),
        (Faults(reorder=0.3), lambda out: out != sorted(out) and sorted(out) == MESSAGES),
        (Faults(delay_s=3.0), lambda out: out == MESSAGES),
    ],
    ids=["drop some", "drop all", "duplicate", "reorder", "delay"],
)
def test_each_fault_does_what_it_says(fault, holds):
    assert holds(carried(7, fault))


def test_a_delayed_message_comes_when_it_is_due_and_dies_with_its_connection():
    line = Line(1)
    line.faults = Faults(delay_s=2.0)
    assert line.put(["late"], 10.0) == [] and line.due(11.9) == []
    assert line.due(12.0) == ["late"]
    line.put(["lost"], 20.0)
    line.clear()
    assert line.due(99.0) == []


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_power_never_survives_a_whole_message(seed, publications):
    assert 0 <= Power(seed).survivors(publications) < publications
    assert Power(seed).fails(1.0) and not Power(seed).fails(0.0)


def test_flash_keeps_everything_that_survives_a_restart(tmp_path):
    sensor = Sensor(4, "ds18b20", onewire_address="28FF641E8D3C0C79", mode="paused")
    memory = Memory(
        approved=True, zone_id="z", master_zone_id="m", zone_name="Z", kaiser_id="k",
        sensors={sensor.identity: sensor},
        actuators={25: Actuator(25, "valve", 60.0, default_on=True, critical=True, aux_gpio=14)},
        subzones={"s": Subzone("s", "S", (4, 25), safe_mode=False)},
        offline_rules=[{"actuator_gpio": 25}], generations={"sensors": 5}, tokens={"esp": "t"},
        boot_count=3, log_level="DEBUG", outcomes=[{"intent_id": "i"}], unfinished_configs=["{}"],
    )  # fmt: skip
    Flash(tmp_path / "esp.json").save(memory)
    assert Flash(tmp_path / "esp.json").load() == memory


@pytest.mark.parametrize("content", [b"", b"\x00", b'{"approved":"yes"}', b'{"actuators":[{}]}'])
def test_flash_that_cannot_be_read_is_flash_that_is_empty(tmp_path, content):
    (tmp_path / "esp.json").write_bytes(content)
    assert Flash(tmp_path / "esp.json").load() is None


# ---- over a real broker


@pytest.fixture
def fleet(own_mosquitto):
    made = Fleet(own_mosquitto.host, own_mosquitto.port, 1)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def ear(own_mosquitto):
    """A client that hears everything, and can speak."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="ear")
    heard: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
    ready: queue.SimpleQueue[None] = queue.SimpleQueue()
    client.on_message = lambda _c, _u, message: heard.put(message)
    client.on_subscribe = lambda *_: ready.put(None)
    client.connect(own_mosquitto.host, own_mosquitto.port)
    client.subscribe("#", 1)
    client.loop_start()
    ready.get(timeout=20)
    client.heard = heard
    yield client
    client.disconnect()
    client.loop_stop()


def hear(ear, ending):
    """The next message whose topic ends so."""
    deadline = time.monotonic() + 10.0
    while True:
        message = ear.heard.get(timeout=max(deadline - time.monotonic(), 0.01))
        if message.topic.endswith(ending):
            return message


DEVICE = "ESP_A00001"
OWN = f"kaiser/god/esp/{DEVICE}"


def set_faults(fleet, fault):
    fleet.do(DEVICE, lambda device: device.set_faults(fault, device._last_tick))


def test_offline_on_demand_ends_in_the_will_and_the_device_returns(ear, fleet):
    hear(ear, "system/heartbeat")
    set_faults(fleet, Faults(offline=True))
    assert b"unexpected_disconnect" in hear(ear, "system/will").payload
    set_faults(fleet, Faults())
    assert hear(ear, "session/announce").topic == f"{OWN}/session/announce"


def test_a_brown_out_in_the_midst_of_a_message_reboots_with_its_memory(ear, fleet):
    hear(ear, "system/heartbeat")
    ear.publish(f"{OWN}/system/heartbeat/ack", b'{"status":"online","handover_epoch":1}', 1)
    assert fleet.wait_until(lambda: fleet.registered == 1)
    set_faults(fleet, Faults(brown_out=1.0))
    zone = b'{"zone_id":"z","master_zone_id":"","zone_name":"","kaiser_id":"god"}'
    assert fleet.wait_until(lambda: fleet.device(DEVICE).faults.brown_out == 1.0)
    ear.publish(f"{OWN}/zone/assign", zone, 1)
    hear(ear, "system/will")
    assert fleet.wait_until(lambda: fleet.device(DEVICE).firmware.boots == 2)
    set_faults(fleet, Faults())
    beat = hear(ear, "system/heartbeat").payload
    assert b'"reset_reason":"BROWNOUT"' in beat and b'"zone_id":"z"' in beat


def test_a_clock_that_is_off_says_0_from_the_next_boot_on(ear, fleet):
    hear(ear, "system/heartbeat")
    set_faults(fleet, Faults(clock_error_s=None))
    fleet.do(DEVICE, lambda device: device.power_cycle(device._last_tick))
    hear(ear, "session/announce")
    beat = hear(ear, "system/heartbeat").payload
    assert b'"ts":0,"time_valid":false' in beat


def test_a_new_kaiser_id_is_followed_on_the_part_of_the_topics_that_the_firmware_moves(ear, fleet):
    hear(ear, "system/heartbeat")
    zone = b'{"zone_id":"z","master_zone_id":"","zone_name":"","kaiser_id":"north"}'
    ear.publish(f"{OWN}/zone/assign", zone, 1)
    north = f"kaiser/north/esp/{DEVICE}"
    while hear(ear, "system/heartbeat").topic != f"{north}/system/heartbeat":
        pass
    ear.publish(f"{north}/system/heartbeat/ack", b'{"status":"online","handover_epoch":1}', 1)
    assert fleet.wait_until(lambda: fleet.registered == 1)
    # Configuration and system commands are still heard on the old tree only.
    ear.publish(f"{north}/system/command", b'{"command":"status"}', 1)
    ear.publish(f"{OWN}/system/command", b'{"command":"get_config"}', 1)
    assert b'"command":"get_config"' in hear(ear, "system/command/response").payload


def test_a_device_that_cannot_connect_waits_longer_each_time(tmp_path):
    device = SimulatedDevice(DEVICE, ("127.0.0.1", 1), seed=1, now=0.0, state_file=tmp_path / "f")
    assert not device.connect_if_due(0.0)
    assert not device.connect_if_due(0.9)
    assert device._retry_at == 1.0
    device.close()
