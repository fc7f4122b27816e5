"""One actor for each ESP32: approval, liveness, sensors, and what the device is configured with.

Everything that a device sends passes through its actor. What concerns actuators goes on to the
safety actor; what is a reading goes to the recorder and to the rules that watch the sensor.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec

from godkaiser import paths
from godkaiser.actors.config_push import ConfigPush
from godkaiser.actors.journal import DeviceEvent
from godkaiser.actors.recorder import StoreReading
from godkaiser.actors.router import DeviceMessage
from godkaiser.actors.timekeeper import Tick
from godkaiser.domain import devices, sensors
from godkaiser.domain.entities import (
    ActuatorConfig,
    Approval,
    DeviceRecord,
    Quality,
    Reading,
    SensorConfig,
    SensorKey,
)
from godkaiser.errors import DeviceNotApproved, GatewayError, UnknownSensor, ValueOutOfRange
from godkaiser.messages import (
    DeviceLivenessChanged,
    DeviceView,
    Message,
    ReadingAccepted,
    SubmitReading,
)
from godkaiser.mqtt.connection import Inbound, NotConnected
from godkaiser.mqtt.ports import AckPort, DevicePort
from godkaiser.protocol import clock, inbound, outbound
from godkaiser.supervision import Actor, Handle

LIVENESS_JOB = "liveness"
PUBLISH_VIEW_EVERY_S = 1.0
MASK_63_BITS = (1 << 63) - 1


class UpdateDevice(Message):
    """From /registrar: the device's record changed."""

    record: DeviceRecord


class UpdateSensors(Message):
    """From /registrar: all sensors that the device is to have."""

    sensors: tuple[SensorConfig, ...]


class UpdateActuators(Message):
    """From /registrar: all actuators that the device is to have."""

    actuators: tuple[ActuatorConfig, ...]


class PushConfig(Message):
    """To oneself: send the configuration, if it is still not confirmed."""


class DeviceReport(Message):
    """To /safety/guard: something that a device said about its actuators."""

    device_id: str
    gpio: int | None
    payload: Any
    at: float


class DeviceSeen(Message):
    """To /safety/guard: the device came (back) online, or went away."""

    device_id: str
    online: bool
    rebooted: bool
    at: float


class DeviceActor(Actor):
    refusals = (GatewayError,)

    def __init__(
        self,
        record: DeviceRecord,
        sensor_configs: tuple[SensorConfig, ...],
        actuator_configs: tuple[ActuatorConfig, ...],
        port: DevicePort,
        acks: AckPort,
        offline_after_s: float,
    ) -> None:
        super().__init__()
        self._record = record
        self._sensors = {config.key: config for config in sensor_configs}
        self._actuators = actuator_configs
        self._port = port
        self._acks = acks
        self._offline_after_s = offline_after_s
        self._liveness = devices.Liveness()
        self._counts: Counter[str] = Counter()
        self._view = DeviceView(record=record)
        self._push: ConfigPush
        self._guard: Handle
        self._recorder: Handle
        self._journal: Handle
