"""A simulated device on the bench: a clock that the test turns, and everything that it published."""

from __future__ import annotations

import json
from typing import Any

from godkaiser.protocol import topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware.firmware import Firmware
from godkaiser.simulator.firmware.memory import Memory
from godkaiser.simulator.firmware.outbox import Publish
from godkaiser.simulator.personality import ESP_IDF

DEVICE = "ESP_4F3A9C"
START = 1_767_096_000.0
OWN = f"kaiser/god/esp/{DEVICE}/"
ROM = "28FF641E8D3C0C79"
PUMP = {"gpio": 25, "actuator_type": "pump", "actuator_name": "Pump"}
DS18B20 = {"gpio": 4, "sensor_type": "ds18b20", "sensor_name": "Tank", "onewire_address": ROM}
PH = {"gpio": 34, "sensor_type": "ph", "sensor_name": "pH"}
AIR = {"gpio": 0, "sensor_type": "sht31_temp", "sensor_name": "Air"}
RAW = {"ds18b20": 376, "sht31_temp": 26214, "sht31_humidity": 36044, "ph": 2150}


class Bench:
    def __init__(self, *, memory: Memory | None = None, personality=ESP_IDF, clock_error_s=0.0):
        self.now = START
        self.raw: dict[str, int | None] = dict(RAW)
        self.device = Firmware(
            DEVICE, START, lambda kind: self.raw.get(kind, 2000),
            memory=memory, personality=personality,
        )  # fmt: skip
        if clock_error_s != 0.0:
            self.device.clock_error_s = clock_error_s
            self.device.restart(START)
        self.said: list[Publish] = []
        self._ids = 0
        self.answers_heartbeats = False

    # ---- what is done to it

    def connect(self, *, reconnect: bool = False) -> list[Publish]:
        return self._heard(self.device.on_connect(self.now, reconnect=reconnect))

    def disconnect(self) -> None:
        self._heard(self.device.on_disconnect(self.now))

    def ack(self, status: str = "online", epoch: Any = 1, **fields: Any) -> list[Publish]:
        return self.send("system/heartbeat/ack", status=status, handover_epoch=epoch, **fields)

    def send(self, tail: str, payload: bytes | None = None, **fields: Any) -> list[Publish]:
        """What the device says to a message on its own tree, at once."""
        body = json.dumps(fields).encode() if payload is None else payload
        return self._heard(self.device.on_message(OWN + tail, body, self.now))

    def broadcast(self, payload: bytes | None = None, **fields: Any) -> list[Publish]:
        body = json.dumps(fields).encode() if payload is None else payload
        return self._heard(self.device.on_message(topics.BROADCAST_EMERGENCY, body, self.now))

    def server(self, status: str, **fields: Any) -> None:
        body = json.dumps({"status": status, **fields}).encode()
        self._heard(self.device.on_message(topics.server_status("god"), body, self.now))

    def push(self, correlation_id: str | None = None, **scopes: Any) -> str:
        """A configuration push; its correlation id."""
        self._ids += 1
        name = correlation_id or f"push-{self._ids}"
        self.send("config", correlation_id=name, intent_id=name, **scopes)
        return name

    def command(self, gpio: int, verb: str, **fields: Any) -> list[Publish]:
        self._ids += 1
        ids = {"correlation_id": f"cmd-{self._ids}", "intent_id": f"cmd-{self._ids}"}
        return self.send(f"actuator/{gpio}/command", command=verb, **{**ids, **fields})

    def wait(self, seconds: float, step_s: float = 0.5) -> list[Publish]:
        """What the device says while time passes."""
        begin, end = len(self.said), self.now + seconds
        while self.now < end:
            self.now = min(self.now + step_s, end)
            beats = self.bodies(Tail.HEARTBEAT, self._heard(self.device.on_tick(self.now)))
            if beats and self.answers_heartbeats:
                self.ack(epoch=beats[-1]["active_handover_epoch"] or 1)
        return self.said[begin:]

    def registered(self, **scopes: Any) -> Bench:
        """Connected, acknowledged, and configured with these scopes; then silence."""
        self.connect()
        self.ack()
        if scopes:
            self.push(**scopes)
        self.wait(1.0)
        self.said.clear()
        return self

    def _heard(self, publications: list[Publish]) -> list[Publish]:
        self.said += publications
        return publications

    # ---- what it said

    def bodies(self, tail: Tail, among: list[Publish] | None = None) -> list[dict[str, Any]]:
        return [
            json.loads(p.payload)
            for p in (self.said if among is None else among)
            if topics.parse(p.topic).tail is tail
        ]

    def last(self, tail: Tail) -> dict[str, Any]:
        found = self.bodies(tail)
        assert found, f"nothing on {tail.value}"
        return found[-1]

    def outcomes(self) -> list[tuple[str, str]]:
        return [(b["outcome"], b["code"]) for b in self.bodies(Tail.INTENT_OUTCOME)]


def tails(publications: list[Publish]) -> list[Tail]:
    return [topics.parse(p.topic).tail for p in publications]
