"""The schema of a rule: its conditions, its actions, and functions to walk them.

The same in a request body, in a file and in the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from godkaiser.domain.entities import Command, Issuer, SensorKey, Verb
from godkaiser.domain.safety.stop_state import Scope, scope_of
from godkaiser.domain.webhooks import shown_url

DEFAULT_MAX_AGE_S = 300.0
MAX_DURATION_S = 86_400.0
NAME_LIMIT = 100

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LIMIT)]
EspId = Annotated[str, msgspec.Meta(min_length=1, max_length=31)]
Gpio = Annotated[int, msgspec.Meta(ge=0, le=39)]
Weekday = Annotated[int, msgspec.Meta(ge=0, le=6)]
SensorType = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Comparison = Literal[">", ">=", "<", "<=", "==", "!="]
SensorRef = tuple[str, int, str] | tuple[str, int, str, str]
"""Device, pin and type; with an address if the pin has several sensors."""
ActuatorRef = tuple[str, int]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a rule; an unknown field is an error."""


class Sensor(Strict, frozen=True, kw_only=True):
    """`address` distinguishes several sensors of a type on one pin; it is that of the sensor's
    configuration.
    """

    esp_id: EspId
    gpio: Gpio
    sensor_type: SensorType
    address: Annotated[str, msgspec.Meta(max_length=64)] = ""

    @property
    def ref(self) -> SensorRef:
        plain = self.esp_id, self.gpio, self.sensor_type
        return (*plain, self.address) if self.address else plain


class SensorCondition(Sensor, frozen=True, kw_only=True, tag="sensor"):
    """A reading against a threshold; `between` takes `min` and `max`, both included."""

    operator: Literal[">", ">=", "<", "<=", "==", "!=", "between"]
    value: float | None = None
    min: float | None = None
    max: float | None = None
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class HysteresisCondition(Sensor, frozen=True, kw_only=True, tag="hysteresis"):
    """Holds from `activate` until `deactivate`; in between it keeps its state."""

    activate_above: float | None = None
    deactivate_below: float | None = None
    activate_below: float | None = None
    deactivate_above: float | None = None
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class DifferenceCondition(Sensor, frozen=True, kw_only=True, tag="sensor_diff"):
    """The reading of this sensor minus that of `other`, against a threshold."""

    other: Sensor
    operator: Comparison
    value: float
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class RateCondition(Sensor, frozen=True, kw_only=True, tag="rate_of_change"):
    """The change per minute over the last `window_seconds`, against a threshold.

    Unknown until readings cover half of the window.
    """

    operator: Comparison
    value: float
    window_seconds: Annotated[float, msgspec.Meta(ge=10, le=3600)] = 300.0
    max_age_seconds: float = DEFAULT_MAX_AGE_S


class FreshnessCondition(Sensor, frozen=True, kw_only=True, tag="freshness"):
    """Whether there is a usable reading not older than `max_age_seconds`. Never unknown."""

    max_age_seconds: float = DEFAULT_MAX_AGE_S


class DeviceCondition(Strict, frozen=True, kw_only=True, tag="device_state"):
    esp_id: EspId
    state: Literal["online", "offline"]


class ActuatorCondition(Strict, frozen=True, kw_only=True, tag="actuator_state"):
    """The state that the device reports for the actuator."""

    esp_id: EspId
    gpio: Gpio
    state: Literal["on", "off"]


class TimeWindow(Strict, frozen=True, kw_only=True, tag="time_window"):
    """Local time from `start` to `end` (HH:MM, end excluded); across midnight when end < start.
    `weekdays` are the days on which the window starts, 0 is Monday. A window that the gateway missed
    completely stays open for `catch_up_seconds` after its end.
        because the gateway was away, stays open for `catch_up_seconds` after its end.
    """

    start: str
    end: str
    weekdays: tuple[Weekday, ...] = (0, 1, 2, 3, 4, 5, 6)
    timezone: str = "UTC"
    catch_up_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0


class ForAtLeast(Strict, frozen=True, kw_only=True, tag="for_at_least"):
    """Holds when `condition` has held for `seconds` without interruption; unknown is an
    interruption.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    condition: Condition


class Group(Strict, frozen=True, kw_only=True, tag="group"):
    operator: Literal["AND", "OR", "NOT"]
    conditions: tuple[Condition, ...]


OfSensor = (
    SensorCondition | HysteresisCondition | DifferenceCondition | RateCondition | FreshnessCondition
)
Condition = (
    SensorCondition
    | HysteresisCondition
    | DifferenceCondition
    | RateCondition
    | FreshnessCondition
    | DeviceCondition
    | ActuatorCondition
    | TimeWindow
    | ForAtLeast
    | Group
)


class ActuatorAction(Strict, frozen=True, kw_only=True, tag="actuator"):
    """A command to an actuator. `duration` in seconds, 0: up to its maximum runtime.

    `affects` names the sensors that it changes, so that circles between rules can be found.
    """

    esp_id: EspId
    gpio: Gpio
    command: Verb
    value: float | None = None
    duration: float = 0.0
    release: bool | None = None
    affects: tuple[Sensor, ...] = ()

    @property
    def ref(self) -> ActuatorRef:
        return self.esp_id, self.gpio


class StopAction(Strict, frozen=True, kw_only=True, tag="emergency_stop"):
    """An emergency stop of a device, of a zone or, with neither, of everything.

    It ignores the cooldown, is not repeated while it is in force, and only an operator ends it.
    """

    esp_id: EspId | None = None
    zone_id: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)] = ""

    @property
    def scope(self) -> Scope:
        return scope_of(self.esp_id, self.zone_id)


class NotificationAction(Strict, frozen=True, kw_only=True, tag="notification"):
    """`target`: the URL of a webhook, an MQTT topic below `godkaiser/notify/`, or an e-mail address.

    In `message`, `{rule}` is the name of the rule and `{why}` the results of its conditions.
    """

    channel: Literal["webhook", "mqtt", "email"]
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    message: Annotated[str, msgspec.Meta(max_length=1000)] = "{rule}: {why}"

    def __repr__(self) -> str:
        """Without the secret parts of a URL: it may be shown as a dead letter."""
        target = shown_url(self.target) if self.channel == "webhook" else self.target
        return f"NotificationAction({self.channel}, {target!r}, {self.message!r})"


class Delay(Strict, frozen=True, kw_only=True, tag="delay"):
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class WaitUntil(Strict, frozen=True, kw_only=True, tag="wait_until"):
    condition: Condition
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    on_timeout: Literal["abort", "continue"] = "abort"


def command_of(
    action: ActuatorAction,
    issuer: Issuer,
    *,
    correlation_id: str,
    requested_at: float,
    decided_at: float,
) -> Command:
    """`requested_at` in unix seconds, `decided_at` monotonic."""
    return Command(
        esp_id=action.esp_id,
        gpio=action.gpio,
        verb=action.command,
        value=action.value,
        duration_s=action.duration,
        issuer=issuer,
        correlation_id=correlation_id,
        requested_at=requested_at,
        decided_at=decided_at,
    )


SequenceStep = ActuatorAction | NotificationAction | Delay | WaitUntil


class SequenceAction(Strict, frozen=True, kw_only=True, tag="sequence"):
    """Steps, one after the other; a command must be confirmed before the next step.

    When it is aborted, `on_abort` follows; without `on_abort` its actuators are switched off.
    """

    steps: tuple[SequenceStep, ...]
    on_abort: tuple[ActuatorAction, ...] | None = None
    abort_when_false: bool = False


class RampAction(Strict, frozen=True, kw_only=True, tag="ramp"):
    """PWM from `start` to `end` in equal steps."""

    esp_id: EspId
    gpio: Gpio
    start: Annotated[float, msgspec.Meta(ge=0, le=1)]
    end: Annotated[float, msgspec.Meta(ge=0, le=1)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    step_seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 10.0


Action = ActuatorAction | StopAction | NotificationAction | SequenceAction | RampAction


class RuleDefinition(Strict, frozen=True, kw_only=True):
    """A rule, in a request body, in a file and in the database.

    `priority`: 0 to 1000; the higher one wins an actuator. `max_per_hour` 0: no limit.
    `suspend_after`: this number of firings within ten minutes counts as a loop and suspends the
    rule; 0: never. With `keep_offline`, a device that can also runs the rule while the gateway is
    away. With `at_most_once` the rule's memory is flushed to disk before it energises, so that no
    power cut makes it fire twice; the default is true for
    doses: actions with a duration, and sequences.
    """

    name: Name
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    enabled: bool = True
    keep_offline: bool = False
    at_most_once: bool | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    logic_operator: Literal["AND", "OR"] = "AND"
    cooldown_seconds: Annotated[float, msgspec.Meta(ge=0, le=604_800)] = 60.0
    max_per_hour: Annotated[int, msgspec.Meta(ge=0, le=360)] = 0
    suspend_after: Annotated[int, msgspec.Meta(ge=0, le=360)] = 60
    description: Annotated[str, msgspec.Meta(max_length=2000)] = ""


# ---- walking through a rule


def walk(
    conditions: tuple[Condition, ...], at: str = "conditions"
) -> Iterator[tuple[str, Condition]]:
    """Every condition, including those that contain others, with its path in the JSON."""
    pending = [(f"{at}[{i}]", c) for i, c in enumerate(conditions)]
    while pending:
        path, condition = pending.pop(0)
        yield path, condition
        if isinstance(condition, Group):
            inner = enumerate(condition.conditions)
            pending.extend((f"{path}.conditions[{i}]", c) for i, c in inner)
        elif isinstance(condition, ForAtLeast):
            pending.append((f"{path}.condition", condition.condition))


def every_condition(definition: RuleDefinition) -> Iterator[tuple[str, Condition]]:
    """The conditions of the rule and of the `wait_until` steps of its sequences."""
    yield from walk(definition.conditions)
    for index, action in enumerate(definition.actions):
        if isinstance(action, SequenceAction):
            for number, step in enumerate(action.steps):
                if isinstance(step, WaitUntil):
                    path = f"actions[{index}].steps[{number}].condition"
                    yield from walk((step.condition,), path)


def leaves(definition: RuleDefinition) -> Iterator[tuple[str, Condition]]:
    """The rule's own conditions that contain no others."""
    for path, condition in walk(definition.conditions):
        if not isinstance(condition, Group | ForAtLeast):
            yield path, condition


def refs_of(key: SensorKey) -> tuple[SensorRef, ...]:
    """The references by which conditions may name this sensor."""
    plain = key.esp_id, key.gpio, key.sensor_type
    return (plain, (*plain, key.address)) if key.address else (plain,)


def sensors_of(definition: RuleDefinition) -> frozenset[SensorRef]:
    found = set()
    for _, condition in every_condition(definition):
        if isinstance(condition, OfSensor):
            found.add(condition.ref)
        if isinstance(condition, DifferenceCondition):
            found.add(condition.other.ref)
    return frozenset(found)


def energises(action: ActuatorAction) -> bool:
    """Whether the command may switch an actuator on."""
    if action.command is Verb.PWM:
        return (action.value or 0.0) > 0.0
    return action.command is not Verb.OFF


def commands_of(definition: RuleDefinition) -> tuple[ActuatorAction, ...]:
    """The commands that it gives at once when it fires."""
    return tuple(action for action in definition.actions if isinstance(action, ActuatorAction))


def every_command(definition: RuleDefinition) -> Iterator[tuple[str, ActuatorAction]]:
    """Every command that it may ever give, with its path."""
    for index, action in enumerate(definition.actions):
        path = f"actions[{index}]"
        match action:
            case ActuatorAction():
                yield path, action
            case SequenceAction():
                for number, step in enumerate(action.steps):
                    if isinstance(step, ActuatorAction):
                        yield f"{path}.steps[{number}]", step
                for number, step in enumerate(action.on_abort or ()):
                    yield f"{path}.on_abort[{number}]", step
            case RampAction():
                yield (
                    path,
                    ActuatorAction(
                        esp_id=action.esp_id, gpio=action.gpio, command=Verb.PWM, value=action.end
                    ),
                )
            case _:
                pass


def actuators_of(definition: RuleDefinition) -> frozenset[ActuatorRef]:
    watched = {
        (condition.esp_id, condition.gpio)
        for _, condition in every_condition(definition)
        if isinstance(condition, ActuatorCondition)
    }
    return frozenset({action.ref for _, action in every_command(definition)} | watched)


def devices_of(definition: RuleDefinition) -> frozenset[str]:
    """The devices of its `device_state` conditions, and those that its sequence commands."""
    asked = {
        condition.esp_id
        for _, condition in every_condition(definition)
        if isinstance(condition, DeviceCondition)
    }
    takes_time = any(isinstance(a, SequenceAction | RampAction) for a in definition.actions)
    commanded = {action.esp_id for _, action in every_command(definition)} if takes_time else set()
    return frozenset(asked | commanded)


def depends_on_time(definition: RuleDefinition) -> bool:
    """Whether it must be evaluated without readings."""
    return any(
        isinstance(
            condition,
            TimeWindow | ForAtLeast | FreshnessCondition | DeviceCondition | ActuatorCondition,
        )
        for _, condition in every_condition(definition)
    )


def longest_window(definition: RuleDefinition, sensor: SensorRef) -> float:
    """How far back readings of the sensor are needed, in seconds; 0 if only the newest is needed."""
    return max(
        (
            condition.window_seconds
            for _, condition in every_condition(definition)
            if isinstance(condition, RateCondition) and condition.ref == sensor
        ),
        default=0.0,
    )
