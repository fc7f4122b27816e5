"""Closed loop: a reading, the rule that it fires, the command on the wire; idle.

The floor is a bare paho client that answers each message with one, TCP_NODELAY on both ends.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import tempfile
import time
from pathlib import Path

from benchmarks._parts import GatewayProcess, broker, quick_client, sensor_payload
from benchmarks.table import Row, percentile
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorType,
    Approval,
    DeviceRecord,
    SensorConfig,
)
from godkaiser.domain.rules import ActuatorAction, HysteresisCondition, RuleDefinition, Verb
from godkaiser.simulator.greenhouse import device_id
from godkaiser.storage import registry, rules
from godkaiser.storage.database import open_database
from godkaiser.storage.migrations import migrate

DEVICE = device_id(0)
HOT, COLD = 30 * 16, 20 * 16
PAUSE_S = 0.01
OWN = f"kaiser/god/esp/{DEVICE}"


def run(*, quick: bool) -> list[Row]:
    rounds = 300 if quick else 2000
    with broker() as server:
        echo = {qos: _echo(server.port, qos, rounds) for qos in (1, 2)}
        ours = _loop(server.port, rounds)
    rows = []
    for name, fraction, factor in (("p50", 0.5, 3.0), ("p99", 0.99, None)):
        value = percentile(ours, fraction) * 1000
        floor = percentile(echo[1], fraction) * 1000
        rows.append(
            Row(
                what=f"loop reading -> rule -> command, idle, {name}",
                ours=value,
                unit="ms",
                floor=floor,
                target="" if factor is None else f"<= {factor:g} x floor (echo at QoS 1)",
                reached=None if factor is None else value <= factor * floor,
            )
        )
        rows.append(
            Row(
                what=f"... beside an echo at QoS 2, as commands have it, {name}",
                ours=value,
                unit="ms",
                floor=percentile(echo[2], fraction) * 1000,
            )
        )
    return rows


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


def _loop(port: int, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'var' / 'godkaiser.db'}"
        _seed(url)
        gateway = GatewayProcess(folder, port, url)
        gateway.start()
        try:
            return _measure(port, rounds)
        finally:
            gateway.stop()


def _seed(url: str) -> None:
    database = open_database(url)
    migrate(database)
    registry.save_device(database, DeviceRecord(device_id=DEVICE, approval=Approval.APPROVED))
    registry.save_sensor(
        database,
        SensorConfig(esp_id=DEVICE, gpio=4, sensor_type="ds18b20", address="28FF641E8D3C0C79"),
    )
    registry.save_actuator(
        database, ActuatorConfig(esp_id=DEVICE, gpio=25, actuator_type=ActuatorType.RELAY)
    )
    rule = RuleDefinition(
        name="loop",
        conditions=(
            HysteresisCondition(
                esp_id=DEVICE, gpio=4, sensor_type="ds18b20",
                activate_above=28.0, deactivate_below=25.0,
            ),
        ),
        actions=(ActuatorAction(esp_id=DEVICE, gpio=25, command=Verb.ON),),
        cooldown_seconds=0,
    )  # fmt: skip
    rules.insert_rule(database, rule, "system:benchmark", 0.0)
    database.close_all()


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
        arrived, command = commands.get(timeout=5)
        assert command["command"] == ("ON" if hot else "OFF"), command
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
