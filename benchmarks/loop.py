"""Closed loop: a reading, the rule that it fires, the command on the wire; idle, beside 1,000 readings a
second, among 1,000 rules over 10,000 sensors, and with a dose, which is flushed to disk first.

The floor is a bare paho client that answers each message with one, TCP_NODELAY on both ends. That of a dose
is the same loop without one, and a flush of this disk.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks._parts import GatewayProcess, broker, quick_client, seed_device, sensor_payload
from benchmarks.sustained import DEVICES, publish_steadily
from benchmarks.table import Row, percentile
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorType,
    Verb,
)
from godkaiser.domain.rules.rules import ActuatorAction, HysteresisCondition, RuleDefinition
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.engine.migrations import migrate
from godkaiser.storage.repositories import registry, rules

DEVICE = device_id(0)
HOT, COLD = 30 * 16, 20 * 16
PAUSE_S = 0.01
OWN = f"kaiser/god/esp/{DEVICE}"


BACKGROUND = 1000


class Site(msgspec.Struct, frozen=True):
    """Besides the device of the loop: so many rules over so many sensors, and readings a second. With
    `doses` the rule is one that remembers on disk before it energises.
    """

    rules: int = 1
    sensors: int = 0
    readings_a_second: int = 0
    doses: bool = False


def run(*, quick: bool) -> list[Row]:
    rounds = 300 if quick else 2000
    with broker() as server:
        echo = {qos: _echo(server.port, qos, rounds) for qos in (1, 2)}
        idle = _loop(server.port, rounds, Site())
        dosed = _loop(server.port, rounds, Site(doses=True))
    with broker() as server:
        busy = _loop(server.port, rounds, Site(sensors=DEVICES, readings_a_second=BACKGROUND))
    few, many = [], []
    for _ in range(3):
        # In turn, so that a machine that slows down slows both.
        for count, taken in ((10, few), (1000, many)):
            with broker() as server:
                taken.extend(_loop(server.port, rounds // 2, Site(rules=count, sensors=10_000)))
    rows = []
    for name, fraction, factor in (("p50", 0.5, 2.0), ("p99", 0.99, 4.0)):
        for qos, what in ((2, "with its command at QoS 2"), (1, "at QoS 1 throughout")):
            value = percentile(idle, fraction) * 1000
            floor = percentile(echo[qos], fraction) * 1000
            rows.append(
                Row(
                    what=f"loop reading -> rule -> command, idle, {name}; the echo {what}",
                    ours=value,
                    unit="ms",
                    floor=floor,
                    target=f"<= {factor:g} x floor",
                    reached=value <= factor * floor,
                )
            )
    # Every second command is an ON; an OFF waits for no disk.
    plain, flushed, flushes = idle[::2], dosed[::2], _flushes(rounds)
    rows += [
        Row(
            what=f"... with a dose, {name}; the floor: without it, and one flush of this disk",
            ours=percentile(flushed, fraction) * 1000,
            unit="ms",
            floor=(percentile(plain, fraction) + percentile(flushes, fraction)) * 1000,
            target="<= 1.5 x floor",
            reached=percentile(flushed, fraction)
            <= 1.5 * (percentile(plain, fraction) + percentile(flushes, fraction)),
        )
        for name, fraction in (("p50", 0.5), ("p99", 0.99))
    ]
    worst = percentile(busy, 0.99) * 1000
    rows += [
        Row(
            what=f"... beside {BACKGROUND} readings/s, p50", ours=percentile(busy, 0.5) * 1000, unit="ms"
        ),
        Row(
            what=f"... beside {BACKGROUND} readings/s, p99", ours=worst, unit="ms",
            target="<= 10 ms", reached=worst <= 10.0,
        ),
    ]  # fmt: skip
    one, other = percentile(many, 0.5) * 1000, percentile(few, 0.5) * 1000
    rows.append(
        Row(
            what="... a reading of 3 rules among 1,000 over 10,000 sensors, p50; the floor: among 10",
            ours=one, unit="ms", floor=other,
            target="<= 1.2 x", reached=one <= 1.2 * other,
        )
    )  # fmt: skip
    return rows


def _flushes(rounds: int) -> list[float]:
    """What a line in a file and its flush take here."""
    taken = []
    with tempfile.TemporaryDirectory() as name:
        descriptor = os.open(Path(name) / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for _ in range(rounds):
            began = time.perf_counter()
            os.write(descriptor, b"x" * 700 + b"\n")
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)
        os.close(descriptor)
    return taken[len(taken) // 10 :]


def _echo(port: int, qos: int, rounds: int) -> list[float]:
    ready = multiprocessing.Event()
    stop = multiprocessing.Event()
    process = multiprocessing.Process(target=_answer, args=(port, qos, ready, stop), daemon=True)
    process.start()
    ready.wait(10)
    client = quick_client("asker", port)
    answers: queue.SimpleQueue[float] = queue.SimpleQueue()
    client.on_message = lambda *_: answers.put(time.perf_counter())
    subscribed = multiprocessing.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.subscribe("echo/answer", 2)
    subscribed.wait(5)
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.publish("echo/ask", b"x" * 200, 1)
        taken.append(answers.get(timeout=5) - began)
        time.sleep(PAUSE_S)
    client.disconnect()
    client.loop_stop()
    stop.set()
    process.join(5)
    return taken[len(taken) // 10 :]


def _answer(port: int, qos: int, ready, stop) -> None:
    client = quick_client(f"echo{qos}", port)
    client.on_message = lambda c, _u, message: c.publish("echo/answer", message.payload, qos)
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe("echo/ask", 1)
    stop.wait()
    client.disconnect()


def _loop(port: int, rounds: int, site: Site) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'var' / 'godkaiser.db'}"
        _seed(url, site)
        gateway = GatewayProcess(folder, port, url)
        gateway.start()
        try:
            with _background(port, site.readings_a_second):
                return _measure(port, rounds)
        finally:
            gateway.stop()


@contextlib.contextmanager
def _background(port: int, rate: int) -> Iterator[None]:
    if not rate:
        yield
        return
    sent = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(
        target=publish_steadily, args=(port, rate, 3600.0, sent, 1), daemon=True
    )
    process.start()
    began = time.monotonic()
    try:
        yield
        if sent.value < rate * (time.monotonic() - began) * 0.9:
            raise RuntimeError(f"the background came to {sent.value} readings only")
    finally:
        process.kill()
        process.join(10)


def _seed(url: str, site: Site) -> None:
    database = open_database(url)
    migrate(database)
    with database.transaction():
        seed_device(database, DEVICE, 1)
        registry.save_actuator(
            database, ActuatorConfig(esp_id=DEVICE, gpio=25, actuator_type=ActuatorType.RELAY)
        )
        own = msgspec.structs.replace(_rule(DEVICE, "the loop"), at_most_once=site.doses)
        rules.insert_rule(database, own, "system:benchmark", 0.0)
        for number in range(DEVICES if site.sensors else 0):
            seed_device(database, device_id(1 + number), site.sensors // DEVICES)
        for number in range(1, site.rules):
            # Two more look at the sensor of the loop and never fire; the rest at other sensors.
            near = number <= min(2, site.rules - 1)
            name = DEVICE if near else device_id(1 + number % DEVICES)
            rule = _rule(name, f"rule {number}", above=90.0)
            rules.insert_rule(database, rule, "system:benchmark", 0.0)
    database.close_all()


def _rule(name: str, title: str, above: float = 28.0) -> RuleDefinition:
    return RuleDefinition(
        name=title,
        conditions=(
            HysteresisCondition(
                esp_id=name, gpio=4, sensor_type="ds18b20",
                activate_above=above, deactivate_below=above - 3.0,
            ),
        ),
        actions=(ActuatorAction(esp_id=DEVICE, gpio=25, command=Verb.ON),),
        cooldown_seconds=0,
        suspend_after=0,
    )  # fmt: skip


def _measure(port: int, rounds: int) -> list[float]:
    client = quick_client(DEVICE, port)
    commands: queue.SimpleQueue[tuple[float, dict]] = queue.SimpleQueue()
    client.on_message = lambda _c, _u, m: commands.put((time.perf_counter(), json.loads(m.payload)))
    client.subscribe(f"{OWN}/actuator/+/command", 2)
    beat = {"esp_id": DEVICE, "ts": int(time.time()), "uptime": 10, "heap_free": 1, "wifi_rssi": -5}
    client.publish(f"{OWN}/system/heartbeat", json.dumps(beat), 0)
    _report(client, on=False, correlation_id="")
    time.sleep(1.0)
    while not commands.empty():
        commands.get()
    taken = []
    for n in range(rounds):
        hot = n % 2 == 0
        payload = sensor_payload(DEVICE, n + 1, HOT if hot else COLD, time.time())
        began = time.perf_counter()
        client.publish(f"{OWN}/sensor/4/data", payload, 1)
        wanted = "ON" if hot else "OFF"
        arrived, command = commands.get(timeout=5)
        while command["command"] != wanted:
            # A report that a reading has overtaken, on its other connection: OFF was told once more.
            arrived, command = commands.get(timeout=5)
        taken.append(arrived - began)
        _report(client, on=hot, correlation_id=command["correlation_id"])
        # Idle: and the device's answer is in before the next reading asks for the opposite.
        time.sleep(PAUSE_S)
    client.disconnect()
    client.loop_stop()
    return taken[len(taken) // 10 :]


def _report(client, *, on: bool, correlation_id: str) -> None:
    status = {
        "esp_id": DEVICE, "ts": int(time.time()), "gpio": 25, "type": "relay", "state": on,
        "pwm": 255 if on else 0, "runtime_ms": 0, "emergency": "normal",
    }  # fmt: skip
    client.publish(f"{OWN}/actuator/25/status", json.dumps(status), 1)
    if correlation_id:
        response = {
            "esp_id": DEVICE, "ts": int(time.time()), "gpio": 25, "command": "ON" if on else "OFF",
            "value": 1.0, "duration": 0, "success": True, "message": "Command executed",
            "correlation_id": correlation_id,
        }  # fmt: skip
        client.publish(f"{OWN}/actuator/25/response", json.dumps(response), 1)
