"""Messages between device actors, the registrar and the safety actor, and the views of devices."""

from __future__ import annotations

from typing import Any

from godkaiser.actors.message import Message
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    DeviceRecord,
    Issuer,
    Reading,
    RemovedEntry,
    SensorConfig,
    SensorKey,
)
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.standing_orders import Standing


class UpdateDevice(Message, frozen=True, kw_only=True):
    """From /services/registrar to a device: its record changed."""

    record: DeviceRecord


class UpdateSensors(Message, frozen=True, kw_only=True):
    """From /services/registrar to a device: all its configured sensors."""

    sensors: tuple[SensorConfig, ...]


class UpdateActuators(Message, frozen=True, kw_only=True):
    """From /services/registrar to a device: all its configured actuators."""

    actuators: tuple[ActuatorConfig, ...]


class OfferOfflineRules(Message, frozen=True, kw_only=True):
    """From /services/registrar to the safety actor: the offline rules of a device, as entries of
    the contract. The safety actor judges them, now and at every change, and tells the device.
    """

    device_id: str
    entries: tuple[dict[str, Any], ...]


class StandingDecided(Message, frozen=True, kw_only=True):
    """From the safety actor to a device: what the device may energise by itself."""

    standing: Standing


class EntriesForgotten(Message, frozen=True, kw_only=True):
    """From a device to /services/registrar: it has confirmed that these are deleted."""

    device_id: str
    entries: tuple[RemovedEntry, ...]


class SubzoneForgotten(Message, frozen=True, kw_only=True):
    """From a device to /services/registrar: it has confirmed that this subzone is deleted."""

    device_id: str
    subzone_id: str


class DeviceRemoved(Message, frozen=True, kw_only=True):
    """From /services/registrar to the safety actor: this device was removed."""

    device_id: str


class UninstallActuator(Message, frozen=True, kw_only=True):
    """From /services/registrar to the safety actor: this actuator was removed. Reply: None.

    Refusals: CommandRefused while it is on.
    """

    key: ActuatorKey


class InstallActuator(Message, frozen=True, kw_only=True):
    """From /services/registrar to the safety actor: this actuator was added or changed.

    `pin_user` is another user of one of its pins: while there is one, it is not energised.
    """

    config: ActuatorConfig
    pin_user: str = ""


class InstallInterlocks(Message, frozen=True, kw_only=True):
    """From /services/registrar to the safety actor: all interlocks of the site."""

    interlocks: tuple[Interlock, ...]


class DeviceReport(Message, frozen=True, kw_only=True):
    """From a device to the safety actor: its report about its actuators. `payload` is decoded.

    `heard_at` is when it was received, on the monotonic clock. `redelivered`: the broker may have delivered it before.
    """

    device_id: str
    gpio: int | None
    payload: Any
    heard_at: float
    redelivered: bool = False


class DevicePresence(Message, frozen=True, kw_only=True):
    """From a device to the safety actor: online (again), or offline.

    `told_at` is monotonic: an older one that arrives later (a resent dead letter) is ignored.
    """

    device_id: str
    zone_id: str
    approved: bool
    online: bool
    rebooted: bool
    told_at: float


class SubmitReading(Message, frozen=True, kw_only=True):
    """A reading by REST: a `raw` value to convert, or a final `value`. Reply: the Reading, when it
    is stored.

    Refusals: UnknownSensor, ValueOutOfRange, DeviceNotApproved.
    """

    key: SensorKey
    raw: float | None
    value: float | None
    at: float | None
    issuer: Issuer


class SubmitBatch(Message, frozen=True, kw_only=True):
    """Readings of one device by REST. Reply: for each, in order, a GatewayError, or a future with
    the Reading once it is stored.
    """

    readings: tuple[SubmitReading, ...]


class SendSystemCommand(Message, frozen=True, kw_only=True):
    """Reply: the correlation id, when the command is sent. With `outcome_to`, the answer is
    delivered there.

    Refusals: DeviceOffline, DeviceNotApproved, DeviceBusy, BrokerUnavailable.
    """

    command: str
    parameters: dict[str, Any]
    issuer: Issuer
    outcome_to: Any = None


class MeasureNow(Message, frozen=True, kw_only=True):
    """Measure on demand. Reply and refusals: as of SendSystemCommand."""

    gpio: int
    issuer: Issuer
    outcome_to: Any = None


class DeviceView(Message, frozen=True, kw_only=True):
    """Published by /control/devices/<id> as "view"; each reading under its SensorKey."""

    record: DeviceRecord
    online: bool = False
    last_seen: float | None = None
    uptime_s: int | None = None
    heap_free: int | None = None
    wifi_rssi: int | None = None
    wifi_ip: str = ""
    firmware_state: int | None = None
    sensor_count: int | None = None
    actuator_count: int | None = None
    config_sync: str = "unknown"
    config_error: str = ""
    placement_sync: str = "unknown"
    placement_error: str = ""
    reported_zone: str | None = None
    health: int = 0
    health_reasons: tuple[str, ...] = ()
    sensors: tuple[SensorConfig, ...] = ()


class ReadingAccepted(Message, frozen=True, kw_only=True):
    reading: Reading
