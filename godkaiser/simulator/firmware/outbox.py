"""Outgoing messages: the registration gate, the outbound queue and its limits (contract, 5.7, 6.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from godkaiser.protocol import topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.personality import Personality

SLOTS = 8
SHEDS_FROM, RECOVERED_BELOW = 6, 4
LARGEST_PAYLOAD, LONGEST_TOPIC = 1535, 127
RETRIES_S = (0.1, 0.5, 1.0)
EXEMPT = frozenset((
    Tail.HEARTBEAT, Tail.ERROR, Tail.EMERGENCY_ERROR, Tail.CONFIG_RESPONSE, Tail.ZONE_ACK,
    Tail.SUBZONE_ACK, Tail.SYSTEM_RESPONSE, Tail.ACTUATOR_RESPONSE, Tail.SENSOR_RESPONSE,
    Tail.EMERGENCY_RESPONSE, Tail.SESSION_ANNOUNCE, Tail.LIFECYCLE,
))  # fmt: skip
"""Messages that pass a closed gate (6.3)."""
CRITICAL = frozenset((
    Tail.ACTUATOR_ALERT, Tail.ACTUATOR_RESPONSE, Tail.SENSOR_RESPONSE, Tail.EMERGENCY_RESPONSE,
    Tail.SYSTEM_RESPONSE, Tail.CONFIG_RESPONSE, Tail.ZONE_ACK, Tail.SUBZONE_ACK, Tail.ERROR,
    Tail.INTENT_OUTCOME,
))  # fmt: skip
"""Messages that are never dropped."""
DIRECT = frozenset((
    Tail.HEARTBEAT, Tail.HEARTBEAT_METRICS, Tail.SESSION_ANNOUNCE, Tail.QUEUE_PRESSURE,
    Tail.EMERGENCY_ACK,
))  # fmt: skip
"""Messages that bypass the queue: the communication task sends them itself, or before the others."""
QOS_0 = frozenset((
    Tail.HEARTBEAT, Tail.HEARTBEAT_METRICS, Tail.DIAGNOSTICS, Tail.ERROR, Tail.QUEUE_PRESSURE,
))  # fmt: skip
FIXED_KAISER = frozenset((Tail.SESSION_ANNOUNCE, Tail.ONEWIRE_SCAN_RESULT))


@dataclass(frozen=True, slots=True)
class Publish:
    """`qos` is that of the firmware; a device never publishes retained messages."""

    topic: str
    payload: bytes
    qos: int


@dataclass(slots=True)
class _Waiting:
    tail: Tail
    publication: Publish
    attempts: int = 0
    due: float = 0.0


class Outbox:
    """The outbound queue. All messages of one call of the firmware wait in it together."""

    def __init__(self, device_id: str, personality: Personality) -> None:
        self._device_id = device_id
        self._personality = personality
        self.gate_open = not personality.gated
        self.connected = False
        self._direct: list[Publish] = []
        self._queue: list[_Waiting] = []
        self._retries: list[_Waiting] = []
        self._offline: list[Publish] = []
        self._under_pressure = False
        self.fill = self.high_water = self.shed = self.dropped = self.retried = 0

    def passes(self, tail: Tail) -> bool:
        """Whether a message of this kind would be sent now."""
        return self.connected and (self.gate_open or tail in EXEMPT)

    def put(
        self, kaiser_id: str, tail: Tail, body: dict[str, Any], gpio: int | None = None
    ) -> bool:
        """Queue a message; False if it was refused at once."""
        if tail.to_device:
            raise ValueError(f"a device never publishes on {tail.value}")
        kaiser_id = "god" if tail in FIXED_KAISER else kaiser_id
        topic = topics.device_topic(kaiser_id, self._device_id, tail, gpio)
        payload = encode(body)
        qos = 0 if tail in QOS_0 or not self._personality.publishes_qos else 1
        publication = Publish(topic, payload, qos)
        if not self.connected and len(self._offline) < self._personality.offline_buffer:
            self._offline.append(publication)
            return True
        if not self.passes(tail):
            return False
        if len(payload) > LARGEST_PAYLOAD or len(topic) > LONGEST_TOPIC:
            self.dropped += 1
            return False
        if tail in DIRECT:
            self._direct.append(publication)
            return True
        return self._enqueue(_Waiting(tail, publication))

    def _enqueue(self, waiting: _Waiting) -> bool:
        if waiting.tail not in CRITICAL:
            if len(self._queue) >= SHEDS_FROM:
                self.shed += 1
                return False
        elif len(self._queue) >= SLOTS and not self._evict():
            if waiting.attempts >= len(RETRIES_S):
                self.dropped += 1
                return False
            self._retries.append(waiting)
            return True
        self._queue.append(waiting)
        self.high_water = max(self.high_water, len(self._queue))
        self.fill = max(self.fill, len(self._queue))
        return True

    def _evict(self) -> bool:
        for index, waiting in enumerate(self._queue):
            if waiting.tail not in CRITICAL:
                del self._queue[index]
                self.shed += 1
                return True
        return False

    def retry_due(self, now: float) -> None:
        """Retry messages for which the queue was full, after 100, 500 and 1,000 ms."""
        due = [w for w in self._retries if 0.0 < w.due <= now]
        self._retries = [w for w in self._retries if w not in due]
        for waiting in due:
            self.retried += 1
            self._enqueue(waiting)
        self._date_retries(now)

    def take(self, now: float, kaiser_id: str, ts: int) -> list[Publish]:
        """Take all messages that are sent now; the queue is empty afterwards."""
        self._date_retries(now)
        self._tell_pressure(kaiser_id, ts)
        out = self._direct + [waiting.publication for waiting in self._queue]
        self._direct, self._queue, self.fill = [], [], 0
        return out if self.connected else []

    def replay_offline(self) -> None:
        """Queue the messages that a PubSubClient build kept while it was offline (section 3.3)."""
        self._direct += self._offline
        self._offline = []

    def disconnect(self) -> None:
        self.connected = False
        self.gate_open = not self._personality.gated
        self._direct, self._queue, self._retries = [], [], []

    def _date_retries(self, now: float) -> None:
        for waiting in self._retries:
            if waiting.due <= now and waiting.attempts < len(RETRIES_S):
                waiting.due = now + RETRIES_S[waiting.attempts]
                waiting.attempts += 1

    def _tell_pressure(self, kaiser_id: str, ts: int) -> None:
        entered = not self._under_pressure and self.fill >= SHEDS_FROM
        left = self._under_pressure and self.fill < RECOVERED_BELOW
        if not (entered or left):
            return
        self._under_pressure = entered
        if self._personality.tells_queue_pressure:
            body = {
                "event": "entered_pressure" if entered else "recovered",
                "fill_level": self.fill,
                "high_watermark": self.high_water,
                "shed_count": self.shed,
                "drop_count": self.dropped,
                "threshold": SHEDS_FROM,
                "ts": ts,
            }
            self.put(kaiser_id, Tail.QUEUE_PRESSURE, body)


def encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
