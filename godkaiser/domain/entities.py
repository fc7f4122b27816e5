"""The entities of the gateway: devices, sensors, actuators, readings, commands.

Frozen records without behaviour. They cross every boundary (messages between actors, rows of the
database, bodies of the REST API), so a field has one name and one unit everywhere. Times are unix
seconds (float) unless the name says otherwise.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Approval(StrEnum):
    PENDING = "pending_approval"
    APPROVED = "approved"
    REJECTED = "rejected"


class OperatingMode(StrEnum):
    CONTINUOUS = "continuous"
    ON_DEMAND = "on_demand"
    PAUSED = "paused"
    SCHEDULED = "scheduled"


class ActuatorType(StrEnum):
    PUMP = "pump"
    RELAY = "relay"
    PWM = "pwm"
    VALVE = "valve"


USUAL_MAX_RUNTIME_S = {
    ActuatorType.PUMP: 3600,
    ActuatorType.VALVE: 3600,
    ActuatorType.RELAY: 18 * 3600,
    ActuatorType.PWM: 18 * 3600,
}
"""Default maximum runtimes: an hour for water, a long day for a light or a fan."""


class Verb(StrEnum):
    ON = "ON"
    OFF = "OFF"
    PWM = "PWM"
    TOGGLE = "TOGGLE"


class Quality(StrEnum):
    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    SUSPECT = "suspect"
    POOR = "poor"
    BAD = "bad"
    ERROR = "error"
    UNKNOWN = "unknown"


class OnShutdown(StrEnum):
    OFF = "off"
    HOLD = "hold"


class SensorKey(msgspec.Struct, frozen=True, order=True):
    """Identity of one series of measurements; `address` is the OneWire ROM or I2C address or ''."""

    esp_id: str
    gpio: int
    sensor_type: str
    address: str = ""


class ActuatorKey(msgspec.Struct, frozen=True, order=True):
    esp_id: str
    gpio: int


class Subzone(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a device's zone: some of its pins, which go into safe mode together."""

    subzone_id: str
    name: str = ""
    gpios: tuple[int, ...] = ()


class RemovedEntry(msgspec.Struct, frozen=True, order=True):
    """A deleted sensor or actuator that the device may still have; `sensor_type` is empty for an
    actuator.
    """

    gpio: int
    sensor_type: str = ""
    address: str = ""


class DeviceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The desired configuration of a device. `zone_set_by` is empty until somebody here sets its
    zone.

    `removed` and `removed_subzones` are entries that the device must still be told to delete.
    """

    device_id: str
    name: str = ""
    approval: Approval = Approval.PENDING
    board: str = "esp32_wroom"
    zone_id: str = ""
    registered_by: str = "heartbeat"
    registered_at: float = 0.0
    decided_by: str = ""
    decided_at: float = 0.0
    reason: str = ""
    zone_name: str = ""
    zone_set_by: str = ""
    subzones: tuple[Subzone, ...] = ()
    removed: tuple[RemovedEntry, ...] = ()
    removed_subzones: tuple[str, ...] = ()


class CalibrationPoint(msgspec.Struct, frozen=True, kw_only=True):
    """`reference` in the unit of the sensor type; the temperature of the medium in degrees Celsius."""

    raw: float
    reference: float
    temperature_c: float | None = None
    at: float = 0.0


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Processed value = slope * x + offset, with x as defined in the table of sensor types.

    `medium_c` is the temperature of the measured medium, for values that are compensated to 25
    degrees Celsius. After `valid_until` a reading is rated no better than fair.
    """

    slope: float | None = None
    offset: float = 0.0
    dry_raw: float | None = None
    wet_raw: float | None = None
    calibrated_at: float = 0.0
    calibrated_by: str = ""
    method: str = ""
    points: tuple[CalibrationPoint, ...] = ()
    medium_c: float | None = None
    valid_until: float | None = None


class SensorConfig(msgspec.Struct, frozen=True, kw_only=True):
    esp_id: str
    gpio: int
    sensor_type: str
    address: str = ""
    name: str = ""
    interval_s: int = 30
    operating_mode: OperatingMode = OperatingMode.CONTINUOUS
    subzone_id: str = ""
    calibration: Calibration | None = None

    @property
    def key(self) -> SensorKey:
        return SensorKey(self.esp_id, self.gpio, self.sensor_type, self.address)


class ActuatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration and the limits of an actuator. Limits of 0 mean: no such limit."""

    esp_id: str
    gpio: int
    actuator_type: ActuatorType
    name: str = ""
    aux_gpio: int = 255
    subzone_id: str = ""
    critical: bool = False
    inverted_logic: bool = False
    max_runtime_s: int = 3600
    min_value: float = 0.0
    max_value: float = 1.0
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    max_on_s_per_hour: float = 0.0
    max_switches_per_hour: int = 0
    on_shutdown: OnShutdown = OnShutdown.OFF

    @property
    def key(self) -> ActuatorKey:
        return ActuatorKey(self.esp_id, self.gpio)


class Reading(msgspec.Struct, frozen=True):
    """One measurement, converted. `content_key` is a digest of the payload: it distinguishes a
    redelivery from a second measurement. `repeatable` is true when the device sent neither a
    clock nor a sequence number, so that equal contents do not prove equal measurements. A final value
    from REST was not converted from a raw one; its `content_key` is negative. `dated`: `at` is from
    the device's own clock. `heard_at`: the arrival, by the monotonic clock of this process;
    `age_s`: the age at that moment.
    """

    key: SensorKey
    at: float
    received_at: float
    raw: float
    value: float | None
    unit: str
    quality: Quality
    zone_id: str = ""
    content_key: int = 0
    repeatable: bool = False
    redelivered: bool = False
    usable_by_rules: bool = True
    dated: bool = False
    heard_at: float = 0.0
    age_s: float = 0.0

    @property
    def has_raw(self) -> bool:
        return self.content_key >= 0


def without_raw(content_key: int) -> int:
    """The key, of 63 bits, of a value that was not converted from a raw one: negative, in the same order."""
    return content_key - 2**63


OPERATORS = frozenset({"user", "key", "local"})


class Issuer(msgspec.Struct, frozen=True):
    """The source of a command: kind is user, key (an API key), local, rule, schedule, device or system.

    For a request, `source` is the client's address and `correlation_id` the request's id, for the
    audit trail.
    """

    kind: str
    name: str
    priority: int = 0
    source: str = ""
    correlation_id: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether this is a person, or a program with a person's key; these are not held like
        rules.
        """
        return self.kind in OPERATORS

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A request to an actuator. `duration_s` 0 means: until the maximum runtime.

    `requested_at` is for display; `decided_at` is the monotonic time in the process that decided
    (0: unknown), from which its age counts. A command older than `max_age_s` is void; None: the
    default limit.
    """

    esp_id: str
    gpio: int
    verb: Verb
    value: float | None = None
    duration_s: float = 0.0
    issuer: Issuer
    correlation_id: str
    requested_at: float
    decided_at: float = 0.0
    max_age_s: float | None = None

    @property
    def key(self) -> ActuatorKey:
        return ActuatorKey(self.esp_id, self.gpio)


class BrokerAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The broker account of a device; its id is the account name. `made_at` in unix seconds."""

    device_id: str
    password_hash: str
    made_by: str
    made_at: float
