"""A device by hand: a client that says exactly what a test wants said, and hears the gateway."""

from __future__ import annotations

import json
import queue
import time
from typing import Any

import paho.mqtt.client as mqtt


class Puppet:
    def __init__(self, host: str, port: int, device_id: str) -> None:
        self.device_id = device_id
        self.heard: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        subscribed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device_id)
        self._client.on_message = lambda _c, _u, message: self.heard.put(message)
        self._client.on_subscribe = lambda *_: subscribed.put(None)
        self._client.connect(host, port)
        own = f"kaiser/god/esp/{device_id}"
        tails = ("system/heartbeat/ack", "config", "actuator/+/command", "actuator/emergency")
        self._client.subscribe([(f"{own}/{tail}", 2) for tail in tails])
        self._client.loop_start()
        subscribed.get(timeout=20)

    def say(self, tail: str, payload: Any, *, qos: int = 1, retain: bool = False) -> None:
        topic = f"kaiser/god/esp/{self.device_id}/{tail}"
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, body, qos, retain).wait_for_publish(5)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, 1).wait_for_publish(5)

    def beat(self, **fields: Any) -> None:
        body = {"uptime": 100, "heap_free": 1, "wifi_rssi": -5, "ts": int(time.time())}
        self.say("system/heartbeat", {**body, **fields})

    def hear(self, ending: str, timeout_s: float = 20.0) -> mqtt.MQTTMessage:
        """The next message whose topic ends so."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self.heard.get(timeout=max(deadline - time.monotonic(), 0.01))
            if message.topic.endswith(ending):
                return message

    def silence(self) -> None:
        while not self.heard.empty():
            self.heard.get()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
