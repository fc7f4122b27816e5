"""One device actor on the simulated runtime, with a wire that keeps what is published, and listeners."""

from __future__ import annotations

import json

from godkaiser import paths
from godkaiser.actors.devices.device import LIVENESS_JOB, DeviceActor
from godkaiser.actors.link.router import DeviceMessage
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.domain.entities import Approval, DeviceRecord, SensorConfig
from godkaiser.mqtt.connection import Inbound
from godkaiser.mqtt.ports import Link, open_ports
from godkaiser.protocol import topics
from godkaiser.supervision import ActorSystem, ChildSpec, SimulatedRuntime, supervisor
from tests.actors.rule_stage import Listener

DEVICE = "ESP_A00001"
ROM = "28FF641E8D3C0C79"
OFFLINE_AFTER_S = 180.0
# What the simulated runtime starts at is before this program was made.
TO_THE_PRESENT_S = 100_000_000.0


class Rules(Listener):
    def on_start(self):
        for sensor_type in ("ds18b20", "sht31_temp", "sht31_humidity", "vpd"):
            self.context.join(("sensor", (DEVICE, 4, sensor_type)))

    def on_receive(self, message):
        self._heard.append(message.reading)


class Wire:
    session = 1
    is_open = True

    def __init__(self):
        self.sent = []

    def publish(self, topic, payload, **_how):
        self.sent.append((topic, json.loads(payload) if payload else None))

    def acknowledge(self, _mids):
        """Nobody counts here."""


class DeviceStage:
    def __init__(self, *, record=None, sensors=None):
        self.runtime = SimulatedRuntime(1)
        self.runtime.calm()
        self.runtime.jump_clock(TO_THE_PRESENT_S)
        self.ports = open_ports("god")
        self.wire = Wire()
        self.ports.control.attach(Link(commands=self.wire, stops=self.wire, devices=self.wire))
        self.ports.acks.attach(self.wire)
        self.rules, self.stored, self.safety = [], [], []
        record = record or DeviceRecord(device_id=DEVICE, approval=Approval.APPROVED)
        if sensors is None:
            sensors = [SensorConfig(esp_id=DEVICE, gpio=4, sensor_type="ds18b20", address=ROM)]
        device = DeviceActor(
            record, sensors, (), self.ports.devices, self.ports.acks, OFFLINE_AFTER_S
        )
        control = supervisor(
            "control",
            [
                supervisor(
                    "storage",
                    [
                        ChildSpec(name="recorder", factory=lambda: Listener(self.stored)),
                        ChildSpec(name="journal", factory=lambda: Listener([])),
                    ],
                ),
                supervisor("safety", [ChildSpec(name="guard", factory=lambda: Listener(self.safety))]),
                supervisor("rules", [ChildSpec(name="all", factory=lambda: Rules(self.rules))]),
                supervisor("devices", [ChildSpec(name=DEVICE, factory=lambda: device)]),
            ],
        )  # fmt: skip
        registrar = ChildSpec(name="registrar", factory=lambda: Listener([]))
        tree = supervisor("gateway", [control, supervisor("services", [registrar])])
        self.system = ActorSystem(tree, self.runtime)
        self.system.start()
        assert self.runtime.run_until(self.system.ready.is_set, 60.0)

    def sends(self, tail, body, *, after_s=0.0, retain=False, dup=False, waited_s=0.0):
        """A message of the device; it waits so long in the mailbox of the gateway."""
        self.runtime.run_for(after_s)
        topic = f"kaiser/god/esp/{DEVICE}/{tail}"
        inbound = Inbound(
            topic, json.dumps(body).encode(), 1, 1, retain, dup, 1, self.runtime.now(),
            self.runtime.monotonic(),
        )  # fmt: skip
        self.runtime.run_for(waited_s)
        message = DeviceMessage(topic=topics.parse(topic), inbound=inbound)
        self.system.handle(paths.device(DEVICE)).tell(message)
        self.runtime.run_for(0.01)

    def beats(self, uptime, *, ts=0, **how):
        self.sends(
            "system/heartbeat",
            {"esp_id": DEVICE, "uptime": uptime, "ts": ts, "heap_free": 200000, "wifi_rssi": -50},
            **how,
        )

    def measures(self, raw, sensor_type="ds18b20", *, at=None, **how):
        body = {"esp_id": DEVICE, "gpio": 4, "sensor_type": sensor_type, "raw": raw}
        if sensor_type == "ds18b20":
            body["onewire_address"] = ROM
        if at is not None:
            body |= {"ts": at, "time_valid": True}
        self.sends("sensor/4/data", body, **how)

    def tick(self, after_s=0.0):
        self.runtime.run_for(after_s)
        now = self.runtime.now()
        self.system.handle(paths.device(DEVICE)).tell(Tick(job=LIVENESS_JOB, at=now))
        self.runtime.run_for(0.01)

    @property
    def view(self):
        return self.system.published_value(paths.device(DEVICE), "view")

    def latest(self, key):
        return self.system.published_value(paths.device(DEVICE), key)

    @property
    def acks(self):
        return [body for topic, body in self.wire.sent if topic.endswith("heartbeat/ack")]
