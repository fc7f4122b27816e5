"""A device as plain MQTT: what it says is in the hands of the test, what it hears is kept."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt


class DeviceOnTheWire:
    """Answers commands as a relay does; `heard` has (topic tail, payload) of all that came."""

    def __init__(self, port: int, device_id: str, gpios: tuple[int, ...] = ()) -> None:
        self.device_id = device_id
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._levels = dict.fromkeys(gpios, 0.0)
        self._stopped = False
        self._seq = 0
        self._ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device_id)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_args: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def beat(self) -> None:
        body = {"esp_id": self.device_id, "uptime": int(time.monotonic()), "ts": int(time.time())}
        self._say("system/heartbeat", {**body, "heap_free": 90000, "wifi_rssi": -50}, 0)

    def tell_states(self) -> None:
        for gpio in self._levels:
            self._tell_state(gpio)

    def measure(self, gpio: int, sensor_type: str, raw: float) -> None:
        self._seq += 1
        body = {"esp_id": self.device_id, "gpio": gpio, "sensor_type": sensor_type, "raw": raw,
                "ts": int(time.time()), "time_valid": True, "seq": self._seq}  # fmt: skip
        self._say(f"sensor/{gpio}/data", body, 1)

    @property
    def energised(self) -> list[dict[str, Any]]:
        """The energising commands that it heard."""
        return [
            body
            for tail, body in self.heard
            if tail.startswith("actuator/") and body.get("command") in {"ON", "PWM", "TOGGLE"}
        ]

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()

    def _on_connect(self, client: mqtt.Client, *_args: Any) -> None:
        client.subscribe([(f"kaiser/god/esp/{self.device_id}/#", 1), ("kaiser/broadcast/#", 1)])

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return
        tail = message.topic.rpartition(f"/{self.device_id}/")[2]
        parts = tail.split("/")
        body = json.loads(message.payload)
        if message.topic == "kaiser/broadcast/emergency":
            self.heard.append((tail, body))
            self._stop()
        elif tail == "actuator/emergency":
            self.heard.append((tail, body))
            self._emergency(body)
        elif parts[0] == "actuator" and parts[-1] == "command":
            self.heard.append((tail, body))
            self._obey(int(parts[1]), body)

    def _stop(self) -> None:
        self._stopped = True
        self._levels = dict.fromkeys(self._levels, 0.0)
        self.tell_states()

    def _emergency(self, body: dict[str, Any]) -> None:
        if body["command"] == "emergency_stop":
            self._stop()
            return
        self._stopped = False
        self._say("actuator/emergency/response", {"status": "emergency_cleared"}, 1)
        self.tell_states()

    def _obey(self, gpio: int, body: dict[str, Any]) -> None:
        done = gpio in self._levels and (body["command"] == "OFF" or not self._stopped)
        if done:
            self._levels[gpio] = 0.0 if body["command"] == "OFF" else float(body.get("value", 1.0))
            self._tell_state(gpio)
        answer = {"esp_id": self.device_id, "gpio": gpio, "command": body["command"],
                  "success": done, "message": "", "correlation_id": body["correlation_id"]}  # fmt: skip
        self._say(f"actuator/{gpio}/response", answer, 1)

    def _tell_state(self, gpio: int) -> None:
        level = self._levels[gpio]
        body = {"esp_id": self.device_id, "gpio": gpio, "ts": int(time.time()), "type": "relay",
                "state": level > 0, "pwm": 255 if level else 0, "runtime_ms": 0,
                "emergency": "active" if self._stopped else "normal"}  # fmt: skip
        self._say(f"actuator/{gpio}/status", body, 1)

    def _say(self, tail: str, body: dict[str, Any], qos: int) -> None:
        topic = f"kaiser/god/esp/{self.device_id}/{tail}"
        self._client.publish(topic, json.dumps(body), qos=qos)
