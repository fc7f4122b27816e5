"""`godkaiser demo`: the gateway with embedded defaults and a simulated greenhouse."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.config.settings import (
    Config,
    DebugConfig,
    DevicesConfig,
    GatewayConfig,
    HttpConfig,
    LogConfig,
    MqttConfig,
)
from godkaiser.demo.broker_port import await_listening, check_free
from godkaiser.demo.child_process import ChildProcess
from godkaiser.domain.entities import ActuatorConfig, Approval, DeviceRecord, SensorConfig
from godkaiser.domain.rules.rules import RuleDefinition
from godkaiser.errors.process import StartupFailed
from godkaiser.gateway import Gateway
from godkaiser.host.extras import require
from godkaiser.http.access.tokens import check_password
from godkaiser.simulator.greenhouse import device_id, equipment
from godkaiser.storage.engine.database import Database
from godkaiser.storage.repositories import registry
from godkaiser.storage.repositories.rules import insert_rule

READING_INTERVAL_S = 2
ADMIN = "admin"
BY = "system:demo"


class DemoSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`http` and `mqtt` are (host, port)."""

    http: tuple[str, int] = ("127.0.0.1", 8000)
    mqtt: tuple[str, int] = ("127.0.0.1", 1883)
    data_dir: Path = Path("var")
    devices: int = 5


class Demo:
    """Broker and devices in processes of their own, the gateway in this one."""

    def __init__(self, settings: DemoSettings, environ: Mapping[str, str]) -> None:
        """Raises StartupFailed, WeakPassword."""
        self.settings = settings
        self._environ = environ
        host, port = settings.mqtt
        live = self._config().live_address
        if live is not None and live[1] == port:
            reason = (
                f"port {port} is needed for the live socket (the port after that of --http). Choose another"
                " port with --mqtt."
            )
            raise StartupFailed(reason=reason)
        require("demo", "The embedded broker of the demo")
        check_free(host, port)
        self._broker = ChildProcess(["embedded-broker", f"{host}:{port}"])
        self._broker.start()
        try:
            self.gateway = Gateway(self._config())
            seed(
                self.gateway.database,
                settings.devices,
                READING_INTERVAL_S,
                self.gateway.system.runtime.now(),
            )
            await_listening(host, port)
            self._devices = ChildProcess(
                [
                    "simulate",
                    "--broker", f"{host}:{port}",
                    "--devices", str(settings.devices),
                    "--interval", str(READING_INTERVAL_S),
                    "--state", str(settings.data_dir / "devices"),
                    "--follow-parent",
                ]
            )  # fmt: skip
            self._devices.start()
            self.gateway.start()
        except BaseException:
            self._broker.stop()
            raise
        try:
            # The actor that writes accounts runs from now on.
            self.password = self._first_administrator()
        except BaseException:
            self.stop()
            raise

    def stop(self, reason: str = "") -> bool:
        """Stop the gateway first, so that the devices receive its last status; then the devices,
        then the broker.
        """
        in_order = self.gateway.stop(reason=reason)
        self._devices.stop()
        self._broker.stop()
        return in_order

    def _config(self) -> Config:
        settings = self.settings
        return Config(
            gateway=GatewayConfig(data_dir=str(settings.data_dir)),
            http=HttpConfig(listen=_join(settings.http)),
            mqtt=MqttConfig(host=settings.mqtt[0], port=settings.mqtt[1]),
            devices=DevicesConfig(),
            debug=DebugConfig(endpoints=True),
            log=LogConfig(level="warning"),
            jwt_secret=self._environ.get("JWT_SECRET_KEY", ""),
        )

    def _first_administrator(self) -> str:
        """Create an administrator and return the password; "" if there already is one."""
        given = self._environ.get("GODKAISER_ADMIN_PASSWORD", "")
        if given:
            check_password(given)
        password = given or secrets.token_urlsafe(12)
        now = self.gateway.system.runtime.now()
        made = self.gateway.tokens.create_first_user(ADMIN, password, now)
        # A password that the user chose is known, and must not be logged.
        return password if made and not given else ""


def seed(database: Database, devices: int, interval_s: int, now: float) -> None:
    """Store the greenhouse's devices, approved, with sensors, actuators and rules; each only once."""
    known = {record.device_id for record in registry.load_devices(database)}
    for index in range(devices):
        if device_id(index) not in known:
            with database.transaction():
                _seed_device(database, index, interval_s, now)
    database.close_thread()


def _seed_device(database: Database, index: int, interval_s: int, now: float) -> None:
    name = device_id(index)
    record = DeviceRecord(
        device_id=name,
        name=f"Greenhouse bench {index + 1}",
        approval=Approval.APPROVED,
        zone_id="greenhouse",
        registered_by=BY,
        registered_at=now,
        decided_by=BY,
        decided_at=now,
    )
    registry.save_device(database, record)
    sensors, actuators = equipment(index)
    for fields in sensors:
        config = {**fields, "esp_id": name, "interval_s": interval_s}
        registry.save_sensor(database, msgspec.convert(config, SensorConfig))
    for fields in actuators:
        registry.save_actuator(
            database, msgspec.convert({**fields, "esp_id": name}, ActuatorConfig)
        )
    for rule in _rules(name, sensors, actuators):
        insert_rule(database, rule, BY, now)


def _join(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_CONTROL: tuple[tuple[str, str, dict[str, float], str], ...] = (
    ("Fan", "sht31_temp", {"activate_above": 27.0, "deactivate_below": 25.0}, "cool"),
    ("Heater", "sht31_temp", {"activate_below": 21.0, "deactivate_above": 23.0}, "warm"),
    ("Heating mat", "sht31_temp", {"activate_below": 22.0, "deactivate_above": 24.0}, "warm"),
    ("Irrigation pump", "moisture", {"activate_below": 40.0, "deactivate_above": 55.0}, "water"),
    ("Water valve", "moisture", {"activate_below": 40.0, "deactivate_above": 55.0}, "water"),
)


def _rules(
    name: str, sensors: tuple[dict[str, Any], ...], actuators: tuple[dict[str, Any], ...]
) -> list[RuleDefinition]:
    """The rules that keep this device's bench in range, if it has the sensor and the actuator."""
    found = []
    for actuator_name, sensor_type, thresholds, purpose in _CONTROL:
        sensor = next((s for s in sensors if s["sensor_type"] == sensor_type), None)
        actuator = next((a for a in actuators if a["name"] == actuator_name), None)
        if sensor is None or actuator is None:
            continue
        is_pwm = actuator["actuator_type"] == "pwm"
        action = {
            "type": "actuator",
            "esp_id": name,
            "gpio": actuator["gpio"],
            "command": "PWM" if is_pwm else "ON",
            "value": 0.6 if is_pwm else None,
        }
        condition = {
            "type": "hysteresis",
            "esp_id": name,
            "gpio": sensor["gpio"],
            "sensor_type": sensor_type,
            **thresholds,
        }
        body = {
            "name": f"{name}: {actuator_name} to {purpose}",
            "conditions": [condition],
            "actions": [action],
            "cooldown_seconds": 5,
            "priority": 100,
        }
        found.append(msgspec.json.decode(json.dumps(body), type=RuleDefinition))
    return found
