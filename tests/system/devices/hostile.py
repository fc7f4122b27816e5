"""Messages that no sound device sends, from a seed, and what must hold after any number of them."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt

from godkaiser import paths
from godkaiser.protocol.topics import Tail
from tests.system.site import Site
from tests.system.storage.outage import SteadyPublisher
from tests.waiting import eventually

VICTIM, OTHER, BOARD, FAN = "ESP_A00001", "ESP_A00002", "ESP_B00001", 25
GPIO = 39
"""Only hostile readings name it."""
ABSURD = 8_000_000_000
"""No digit of it can be changed so that a temperature comes out."""
SOUND = {"excellent", "good", "fair"}
SENT_AT_ONCE = 500

_TAILS = [tail.value.replace("#", str(GPIO)) for tail in Tail if not tail.to_device]
_KEYS = [
    "esp_id", "gpio", "raw", "ts", "value", "sensor_type", "seq", "quality", "uptime", "heap_free",
    "zone_id", "state", "pwm", "correlation_id", "success", "status", "config", "success_count",
    "failed", "reason", "devices", "command", "kaiser_id", "subzone_id", "error_code", "severity",
    "schema", "flow", "intent_id", "outcome", "generation", "handover_epoch", "boot_sequence_id",
    "gpio_status", "i2c_address", "onewire_address", "time_valid", "actuator_type", "alert_type",
]  # fmt: skip
_TEXTS = [
    "", "\x00", "a" * 5000, "\u202etxet", "🜁" * 40, "\ud83d\ude00", "' OR 1=1 --", "${jndi:x}",
    "../../etc/passwd", "NaN", "true", "٣", "\n\r\t", "<script>", "ESP_FFFFFF", "0x", "-0", "\u0000a",
]  # fmt: skip
_NUMBERS = [
    0, -1, 1, 255, 256, 2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**40, 1e308, -1e308, 5e-324,
    0.1, ABSURD,
]  # fmt: skip


class Hostile(NamedTuple):
    """`is_refused`: it must be counted as refused; otherwise it may mean something."""

    topic: str
    payload: bytes
    is_refused: bool


def messages(seed: int) -> Iterator[Hostile]:
    chance = random.Random(seed)
    kinds = (_garbage, _not_json, _wrong_types, _deep, _large, _bitten, _misdirected, _stranger)
    while True:
        yield chance.choice(kinds)(chance)


def _topic(chance: random.Random, tail: str | None = None) -> str:
    return f"kaiser/god/esp/{VICTIM}/{tail or chance.choice(_TAILS)}"


def _garbage(chance: random.Random) -> Hostile:
    payload = chance.randbytes(chance.randrange(1, 300))
    # A single digit would be JSON; not an object, though.
    return Hostile(_topic(chance), payload, is_refused=True)


def _not_json(chance: random.Random) -> Hostile:
    whole = json.dumps(_reading(chance)).encode()
    payload = chance.choice(
        [
            whole[: chance.randrange(1, len(whole))],
            whole + b"}",
            whole.replace(b'"', b"'"),
            b"\xef\xbb\xbf" + whole,
            b'{"raw": NaN}', b'{"ts": 1e999}', b"[]", b"null", b'"x"', b"17", b"\xff\xfe{}",
            b'{"a": "\xc3\x28"}', b'{"a": \x01}', b"{" * 50_000, b"[" * 60_000, b'{"a":' * 9_000,
        ]
    )  # fmt: skip
    return Hostile(_topic(chance), payload, is_refused=True)


def _value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return chance.choice(_TEXTS)
    if kind == 1:
        return chance.choice(_NUMBERS)
    if kind == 2:
        return chance.choice([None, True, False])
    if kind == 3:
        return chance.choice(_KEYS)
    if kind == 4:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(6))]
    return {chance.choice(_KEYS): _value(chance, depth + 1) for _ in range(chance.randrange(6))}


def _wrong_types(chance: random.Random) -> Hostile:
    body = {chance.choice(_KEYS): _value(chance) for _ in range(chance.randrange(1, 12))}
    # Whatever else it says, it is no reading that could be right.
    body |= {"raw": chance.choice([ABSURD, "warm", [], {}, None, True]), "gpio": GPIO}
    if chance.random() < 0.3:
        body["sensor_type"] = "ds18b20"
    return Hostile(_topic(chance), json.dumps(body).encode(), is_refused=False)


def _deep(chance: random.Random) -> Hostile:
    depth = chance.randrange(100, 3000)
    payload = b'{"raw":' * depth + b"1" + b"}" * depth
    return Hostile(_topic(chance, f"sensor/{GPIO}/data"), payload, is_refused=True)


def _large(chance: random.Random) -> Hostile:
    body = {"sensor_type": "ds18b20", "raw": ABSURD, "x": "x" * chance.randrange(40_000, 64_000)}
    return Hostile(_topic(chance), json.dumps(body).encode(), is_refused=False)


def _bitten(chance: random.Random) -> Hostile:
    payload = bytearray(json.dumps(_reading(chance)).encode())
    at = chance.randrange(len(payload))
    if chance.random() < 0.5:
        payload[at] ^= 1 << chance.randrange(8)
    else:
        del payload[at]
    return Hostile(_topic(chance, f"sensor/{GPIO}/data"), bytes(payload), is_refused=False)


def _reading(chance: random.Random) -> dict[str, Any]:
    return {"esp_id": VICTIM, "seq": chance.randrange(10**6), "gpio": GPIO, "raw": ABSURD,
            "sensor_type": "ds18b20", "ts": 1_790_000_000, "time_valid": True}  # fmt: skip


def _misdirected(chance: random.Random) -> Hostile:
    """Topics that are not of the contract, devices that are not, and what is another's."""
    reading = json.dumps(_reading(chance)).encode()
    tail = f"sensor/{GPIO}/data"
    topic = chance.choice(
        [
            f"kaiser/god/esp/{VICTIM}/system/{'x/' * chance.randrange(1, 60)}y",
            f"kaiser/god/esp/{VICTIM}/sensor/{chance.choice(['-1', '256', 'x', '٣', ''])}/data",
            f"kaiser/god/esp/{'E' * chance.randrange(40, 900)}/{tail}",
            f"kaiser/god/esp/ESP_FFFFFF/{tail}", f"kaiser/god/esp/🜁/{tail}",
            f"kaiser/god/esp/{OTHER}/{tail}", f"kaiser/god/esp/ /{tail}", f"kaiser//esp//{tail}",
        ]
    )  # fmt: skip
    return Hostile(topic, reading, is_refused=True)


def _stranger(chance: random.Random) -> Hostile:
    """Heartbeats of devices that cannot be: bad names, or nothing that can be read."""
    name = chance.choice(
        ["esp_a00001", "ESP_GGGGGG", "ESP_123", "MOCK-1", "'; DROP", "ESP_A000011"]
    )
    body = chance.choice([b"{}", b"{", b"[]", b'{"uptime": "x"}', b'{"esp_id": "ESP_A00002"}'])
    return Hostile(f"kaiser/god/esp/{name}/system/heartbeat", body, is_refused=True)


class Siege:
    """A site under hostile messages, with a sound board beside them."""

    def __init__(self, site: Site, per_second: float = 50.0) -> None:
        self._site = site
        registered = {"device_id": BOARD}
        site.client.post("/esp/register", registered, 201)
        site.client.post(f"/esp/devices/{BOARD}/approve", {}, 200)
        site.client.post(f"/sensors/{BOARD}/4", {"sensor_type": "ds18b20"}, 201)
        self._restarts = self._restarts_of()
        self._seen_before = sum(self._routed().values())
        self._board = SteadyPublisher(site.broker.port, per_second)
        self._sent = self._refused = 0

    def send(self, seed: int, count: int) -> None:
        """Publish them at QoS 1, and wait until the gateway has nearly caught up.

        A broker whose queue is full drops messages, and the gateway never sees those.
        """
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="hostile")
        room = threading.Semaphore(SENT_AT_ONCE)
        client.on_publish = lambda *_args: room.release()
        client.max_inflight_messages_set(SENT_AT_ONCE)
        client.connect(self._site.broker.host, self._site.broker.port)
        client.loop_start()
        eventually(client.is_connected)
        for hostile, _ in zip(messages(seed), range(count), strict=False):
            assert room.acquire(timeout=30), "the broker takes no more"
            client.publish(hostile.topic, hostile.payload, qos=1)
            self._refused += hostile.is_refused
        for _ in range(SENT_AT_ONCE):
            assert room.acquire(timeout=30)
        client.disconnect()
        client.loop_stop()
        self._sent += count
        eventually(lambda: self._received() >= self._sent - SENT_AT_ONCE, 60)

    def check(self) -> dict[str, int]:
        """What must hold; the counts by reason."""
        sent_well = self._board.finish()
        eventually(lambda: self._received() >= self._sent + sent_well, 60)
        path = f"/sensors/data?esp_id={BOARD}&limit=10000"
        rows = eventually(
            lambda: len(rows := self._site.client.get(path)["data"]) >= sent_well and rows, 60
        )
        assert len(rows) == sent_well, "each reading of the sound board is stored once"
        assert all(row["quality"] in SOUND for row in rows)
        for device in (VICTIM, OTHER):
            path = f"/sensors/data?esp_id={device}&gpio={GPIO}&limit=10000"
            good = [r for r in self._site.client.get(path)["data"] if r["quality"] in SOUND]
            assert not good, f"stored as good: {good[:3]}"
        names = {d["device_id"] for d in self._site.client.get("/esp/devices")["data"]}
        assert names == {VICTIM, OTHER, BOARD}, "no device is made of what is none"
        assert self._restarts_of() == self._restarts, "no actor dies of a payload"
        body = {"esp_id": OTHER, "gpio": FAN, "command": "OFF"}
        outcome = self._site.client.post("/actuators/command?wait=10", body)["outcome"]
        assert outcome["state"] == "confirmed", outcome
        rejected = self._site.client.get("/system/dead-letters?limit=1")["rejected"]
        assert sum(rejected.values()) >= self._refused, (rejected, self._refused)
        return dict(sorted(rejected.items()))

    def _restarts_of(self) -> dict[str, int]:
        return {i["path"]: i["restarts"] for i in self._site.client.get("/system/tree")["data"]}

    def _received(self) -> int:
        return sum(self._routed().values()) - self._seen_before

    def _routed(self) -> dict[str, int]:
        return self._site.gateway.system.published_value(paths.ROUTER, "counts") or {}
