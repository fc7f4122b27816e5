"""A site drawn from a seed: devices, zones, actuators with limits, interlocks, sensors, rules, a stop input."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    SensorConfig,
    Verb,
)
from godkaiser.domain.rules.rules import (
    ActuatorAction,
    RuleDefinition,
    SensorCondition,
    actuators_of,
)
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.domain.safety.stop_state import GLOBAL, Scope, ScopeKind
from godkaiser.simulator.firmware.pins import ESP32_WROOM
from godkaiser.simulator.personality import D25, ESP_IDF, PUBSUB, Personality

WOKWI = replace(PUBSUB, board=ESP32_WROOM, largest_packet=2048)
GPIOS = (25, 26, 27)
CHIP, ROM_PIN, BUTTON_PIN, IDLE_PIN = 0, 4, 34, 35
ROM = "28FF641E8D3C0C79"
DOSE_COOLDOWN_S = 60.0
RELEASED_RAW, PRESSED_RAW = 2000, 100


@dataclass(frozen=True, kw_only=True)
class Site:
    """Rules have the numbers 1, 2, ... in their order; `doses` are those that give one. `late` is an
    actuator that the gateway comes to know only later; nothing else needs it.
    """

    zones: dict[str, str]
    personalities: dict[str, Personality]
    actuators: tuple[ActuatorConfig, ...]
    interlocks: tuple[Interlock, ...]
    sensors: tuple[SensorConfig, ...]
    rules: tuple[RuleDefinition, ...]
    doses: frozenset[int]
    stop_inputs: tuple[StopInput, ...]
    late: ActuatorKey | None = None

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(self.zones)

    @property
    def keys(self) -> tuple[ActuatorKey, ...]:
        return tuple(config.key for config in self.actuators)

    def scopes(self) -> list[Scope]:
        return [
            GLOBAL, Scope(ScopeKind.ZONE, "north"), *(Scope(ScopeKind.DEVICE, d) for d in self.zones)
        ]  # fmt: skip

    def needs(self, key: ActuatorKey) -> list[ActuatorKey]:
        """What has to run for it, in the order in which to start it."""
        found: list[ActuatorKey] = []
        for lock in self.interlocks:
            if lock.kind is not InterlockKind.NEVER_WITH and lock.actuator == key:
                found += [k for k in (*self.needs(lock.other), lock.other) if k not in found]
        return found


def draw(choices: random.Random) -> Site:
    devices = [f"ESP_A0000{n}" for n in range(1, choices.choice([2, 2, 3, 3, 4]) + 1)]
    zones = {device: "north" if n < 2 else "south" for n, device in enumerate(devices)}
    personalities = {d: choices.choice([ESP_IDF, ESP_IDF, ESP_IDF, WOKWI, D25]) for d in devices}
    actuators = tuple(
        _actuator(choices, device, gpio)
        for device in devices
        for gpio in GPIOS[: choices.choice([2, 2, 3])]
    )
    keys = [config.key for config in actuators]
    interlocks, rules = _interlocks(choices, keys), _rules(choices, devices)
    return Site(
        zones=zones,
        personalities=personalities,
        actuators=actuators,
        interlocks=interlocks,
        sensors=_sensors(devices, choices),
        rules=rules,
        doses=frozenset({2}),
        stop_inputs=_stop_inputs(choices, devices),
        late=_late(choices, keys, interlocks, rules),
    )


def _late(
    choices: random.Random, keys: list[ActuatorKey], interlocks: tuple[Interlock, ...],
    rules: tuple[RuleDefinition, ...],
) -> ActuatorKey | None:  # fmt: skip
    used = {key for lock in interlocks for key in (lock.actuator, lock.other)}
    used |= {ActuatorKey(*ref) for rule in rules for ref in actuators_of(rule)}
    free = [key for key in keys if key not in used]
    return choices.choice(free) if free and choices.random() < 0.3 else None


def _actuator(choices: random.Random, device: str, gpio: int) -> ActuatorConfig:
    kinds = [ActuatorType.RELAY, ActuatorType.RELAY, ActuatorType.PUMP, ActuatorType.PWM]
    return ActuatorConfig(
        esp_id=device,
        gpio=gpio,
        actuator_type=choices.choice(kinds),
        max_runtime_s=choices.choice([15, 20, 40]),
        min_off_s=choices.choice([0.0, 0.0, 0.0, 4.0, 12.0]),
        min_on_s=choices.choice([0.0, 0.0, 0.0, 2.0]),
        max_switches_per_hour=choices.choice([0, 0, 0, 0, 4, 8]),
        max_on_s_per_hour=choices.choice([0.0, 0.0, 0.0, 0.0, 90.0]),
    )


def _interlocks(choices: random.Random, keys: list[ActuatorKey]) -> tuple[Interlock, ...]:
    """No circles and no contradictions: an actuator is bound once, by one that comes before it."""
    found = []
    bound: set[ActuatorKey] = set()
    for _ in range(choices.randrange(1, 5)):
        earlier, later = sorted(choices.sample(range(len(keys)), 2))
        one, other = keys[later], keys[earlier]
        if one in bound or other in bound:
            continue
        kind = choices.choice([InterlockKind.NEVER_WITH, *InterlockKind])
        bound |= {one, other} if kind is InterlockKind.NEVER_WITH else {one}
        after_s = choices.choice([1.0, 3.0]) if kind is InterlockKind.ONLY_AFTER else 0.0
        found.append(Interlock(kind=kind, actuator=one, other=other, after_s=after_s))
    return tuple(found)


def _sensors(devices: list[str], choices: random.Random) -> tuple[SensorConfig, ...]:
    def sensor(device: str, gpio: int, kind: str, address: str = "") -> SensorConfig:
        return SensorConfig(
            esp_id=device, gpio=gpio, sensor_type=kind, address=address,
            interval_s=choices.choice([3, 5, 8]),
        )  # fmt: skip

    return (
        sensor(devices[0], CHIP, "sht31_temp", "0x44"),
        sensor(devices[0], CHIP, "sht31_humidity", "0x44"),
        sensor(devices[1], ROM_PIN, "ds18b20", ROM),
        sensor(devices[-1], BUTTON_PIN, "moisture"),
        # A device without any sensor never leaves CONFIG_PENDING after a reboot (contract, 12.8).
        *(sensor(device, IDLE_PIN, "ph") for device in devices[2:-1]),
    )


def when(device: str, gpio: int, kind: str, operator: str, value: float) -> SensorCondition:
    return SensorCondition(
        esp_id=device, gpio=gpio, sensor_type=kind, operator=operator,  # type: ignore[arg-type]
        value=value, max_age_seconds=60.0,
    )  # fmt: skip


def _rules(choices: random.Random, devices: list[str]) -> tuple[RuleDefinition, ...]:
    hot = when(devices[0], CHIP, "sht31_temp", ">", 28.0)
    dry = when(devices[0], CHIP, "sht31_humidity", "<", 70.0)
    warm = when(devices[1], ROM_PIN, "ds18b20", ">", 20.0)
    always = when(devices[1], ROM_PIN, "ds18b20", ">", 0.0)

    def rule(
        name: str, conditions: tuple[SensorCondition, ...], action: ActuatorAction,
        priority: int = 100, cooldown_s: float = 0.0,
    ) -> RuleDefinition:  # fmt: skip
        return RuleDefinition(
            name=name, conditions=conditions, actions=(action,), priority=priority,
            cooldown_seconds=cooldown_s, suspend_after=0,
        )  # fmt: skip

    def turn(device: str, gpio: int, duration_s: float, *, release: bool | None) -> ActuatorAction:
        return ActuatorAction(
            esp_id=device, gpio=gpio, command=Verb.ON, duration=duration_s, release=release
        )

    busy = choices.choice(devices)
    return (
        rule("vent", (hot, dry), turn(devices[0], GPIOS[0], 0.0, release=True)),
        rule("dose", (warm,), turn(devices[1], GPIOS[1], 3.0, release=None),
             cooldown_s=DOSE_COOLDOWN_S),
        rule("always", (always,), turn(busy, GPIOS[0], 3.0, release=None), 50, cooldown_s=2.0),
        rule("urgent", (hot,), turn(busy, GPIOS[0], 0.0, release=True), 800, cooldown_s=1.0),
    )  # fmt: skip


def _stop_inputs(choices: random.Random, devices: list[str]) -> tuple[StopInput, ...]:
    if choices.random() < 0.6:
        return ()
    sensor = SensorConfig(esp_id=devices[-1], gpio=BUTTON_PIN, sensor_type="moisture")
    scope = choices.choice([GLOBAL, Scope(ScopeKind.ZONE, "north")])
    return (StopInput(sensor=sensor.key, scope=scope, pressed_below=1000.0, silent_after_s=40.0),)
