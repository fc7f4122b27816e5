"""A site whose servers are stopped and killed under load, and what must hold of it at the end."""

from __future__ import annotations

import json
import random
import threading
import time

import paho.mqtt.client as mqtt

from godkaiser.demo.demo import seed
from godkaiser.domain.entities import Approval, DeviceRecord, SensorConfig
from godkaiser.simulator.fleet import Fleet
from godkaiser.storage.audit.chain import examine
from godkaiser.storage.engine import migrations, models
from godkaiser.storage.engine.database import open_database
from godkaiser.storage.repositories import registry
from tests.system.process import GatewayProcess
from tests.waiting import eventually

SENSOR_BOARD = "ESP_B00001"
BENCH, FAN = "ESP_A00001", 25


class SteadyPublisher:
    """A board that sends numbered readings at a steady rate, over whatever happens to the broker."""

    def __init__(self, port: int, per_second: float) -> None:
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="board")
        self._client.max_inflight_messages_set(500)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._count
        self._pause_s = 1.0 / per_second
        self._stopping = threading.Event()
        self.sent = 0
        self.acknowledged = 0
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.time()
        next_at = time.monotonic()
        while not self._stopping.wait(max(0.0, next_at - time.monotonic())):
            next_at += self._pause_s
            self.sent += 1
            body = {"esp_id": SENSOR_BOARD, "seq": self.sent, "sensor_type": "ds18b20", "gpio": 4,
                    "raw": self.sent % 2000, "ts": int(began), "time_valid": True}  # fmt: skip
            topic = f"kaiser/god/esp/{SENSOR_BOARD}/sensor/4/data"
            # While there is no broker, Paho keeps it and sends it later.
            self._client.publish(topic, json.dumps(body), qos=1)

    def _count(self, *_details: object) -> None:
        self.acknowledged += 1

    def finish(self) -> int:
        """Stop, and wait until the broker has acknowledged everything; how many it was."""
        self._stopping.set()
        self._thread.join(10)
        eventually(lambda: self.acknowledged >= self.sent, 60.0)
        self._client.loop_stop()
        self._client.disconnect()
        return self.sent


class OutageSite:
    """`postgres` and `broker` are this site's own. `close` it at the end."""

    def __init__(self, folder, broker, postgres, *, per_second=400.0, spool_bytes=0) -> None:
        self.broker = broker
        self.postgres = postgres
        self._folder = folder
        (folder / "var").mkdir()
        url = postgres.create_database()
        self.database = open_database(url)
        migrations.migrate(self.database)
        registry.save_device(
            self.database, DeviceRecord(device_id=SENSOR_BOARD, approval=Approval.APPROVED)
        )
        registry.save_sensor(
            self.database, SensorConfig(esp_id=SENSOR_BOARD, gpio=4, sensor_type="ds18b20")
        )
        seed(self.database, 1, 5, time.time())
        self.database.run(models.Rule.delete())
        self.database.close_thread()
        more = f"[spool]\nmax_bytes = {spool_bytes}\n" if spool_bytes else ""
        self.gateway = GatewayProcess(folder, broker.port, url, more).start()
        self.gateway.log_in()
        self.fleet = Fleet("127.0.0.1", broker.port, 1, interval_s=5.0)
        self.fleet.start()
        self.commands: list[str] = []
        eventually(self._is_ready, 30.0)
        self.publisher = SteadyPublisher(broker.port, per_second)

    def _is_ready(self) -> bool:
        device = self.gateway.client.get(f"/esp/devices/{BENCH}")
        answer = self.gateway.client.get(f"/actuators/{BENCH}/{FAN}/explain?command=ON")
        return device["config_sync"] == "in_sync" and answer["verdict"]["allowed"]

    def command(self, verb: str) -> str:
        """A command over everything that is between a person and the device; how it ended."""
        body = {"esp_id": BENCH, "gpio": FAN, "command": verb}
        status, answer = self.gateway.client.call("POST", "/actuators/command?wait=10", body)
        assert status in {200, 202}, answer
        self.commands.append(answer["correlation_id"])
        outcome = answer["outcome"]
        return outcome["state"] if outcome["state"] == "confirmed" else str(outcome)

    def spool(self) -> dict:
        return self.gateway.client.get("/system/storage")["spool"]

    def hold_database_away(self, seconds: float) -> list[float]:
        """Stop PostgreSQL for so long and command meanwhile; how long each command took."""
        self.postgres.stop()
        deadline = time.monotonic() + seconds
        took = []
        pause = threading.Event()
        # Few activations: the device allows only so many within an hour.
        while time.monotonic() < deadline or not took:
            began = time.monotonic()
            outcome = self.command("OFF" if took else "ON")
            assert outcome == "confirmed", outcome
            took.append(time.monotonic() - began)
            pause.wait(0.2)
        self.postgres.start()
        return took

    def kill_gateway(self, chance: random.Random, *, database_away: bool) -> None:
        """kill -9 at a random moment of the next second, with the spool in use or not."""
        if database_away:
            self.postgres.stop()
        pause = threading.Event()
        pause.wait(chance.random())
        self.gateway.kill()
        if database_away:
            self.postgres.start()
        self.gateway.start()
        self.gateway.log_in()

    def check(self) -> None:
        """Nothing that was acknowledged is missing, nothing is there twice, the audit trail holds."""
        sent = self.publisher.finish()
        self.database.close_thread()
        expected = sorted(n % 2000 for n in range(1, sent + 1))
        eventually(lambda: len(self._stored()) >= sent, 60.0)
        assert self._stored() == expected
        eventually(lambda: self.spool()["state"] == "idle" and not self.spool()["bytes"], 30.0)
        assert self._stored() == expected
        kept = {
            row[0]: row[1]
            for row in self.database.fetch("SELECT correlation_id, state FROM command_history")
        }
        for correlation_id in self.commands:
            assert kept[correlation_id] == "confirmed"
        assert not examine(self.database).problem
        tree = self.gateway.client.get("/system/tree")["data"]
        assert [(a["path"], a["last_error"]) for a in tree if a["restarts"]] == []

    def _stored(self) -> list[int]:
        rows = self.database.fetch(
            "SELECT raw FROM sensor_data JOIN series ON series.id = series_id WHERE esp_id = ?",
            (SENSOR_BOARD,),
        )
        return sorted(int(raw) for (raw,) in rows)

    def close(self) -> None:
        self.fleet.stop()
        code = self.gateway.stop()
        self.database.close_all()
        assert code == 0, self.gateway.log.read_text()[-4000:]
