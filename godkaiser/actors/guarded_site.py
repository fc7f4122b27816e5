"""What the safety actor knows of the site: the devices, their actuators, and how these depend on each
other. Facts are kept here, so that a command is judged without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from godkaiser.actors.device_messages import DevicePresence
from godkaiser.actors.guarded_actuator import GuardedActuator
from godkaiser.domain.entities import ActuatorKey, Approval, Command
from godkaiser.domain.interlocks import Interlock, OtherActuator, to_release
from godkaiser.domain.safety import CommandFacts, DeviceFacts, Hold
from godkaiser.domain.safety_state import SafetyState, Scope


class GuardedSite:
    """Used by the safety actor only."""

    def __init__(self) -> None:
        self.interlocks: tuple[Interlock, ...] = ()
        self._by_actuator: dict[ActuatorKey, tuple[Interlock, ...]] = {}
        self._actuators: dict[ActuatorKey, GuardedActuator] = {}
        self._devices: dict[str, DevicePresence] = {}

    # ---- devices

    def learn(self, presence: DevicePresence) -> bool:
        """Take in what a device told of itself; whether it is new, came back, or has rebooted."""
        known = self._devices.get(presence.device_id)
        self._devices[presence.device_id] = presence
        if not presence.online:
            for actuator in self.of_device(presence.device_id):
                # What cannot be heard is not known.
                actuator.reported = None
        return presence.online and (known is None or not known.online or presence.rebooted)

    def forget(self, device_id: str) -> None:
        self._devices.pop(device_id, None)

    def device(self, device_id: str) -> DevicePresence | None:
        return self._devices.get(device_id)

    def zone_of(self, device_id: str) -> str:
        presence = self._devices.get(device_id)
        return "" if presence is None else presence.zone_id

    def is_online(self, device_id: str) -> bool:
        presence = self._devices.get(device_id)
        return presence is not None and presence.online

    def covered(self, scope: Scope) -> list[str]:
        """The devices in a scope."""
        return [
            device_id
            for device_id, presence in self._devices.items()
            if scope.covers(device_id, presence.zone_id)
        ]

    # ---- actuators

    def add(self, actuator: GuardedActuator) -> None:
        self._actuators[actuator.config.key] = actuator

    def remove(self, key: ActuatorKey) -> None:
        self._actuators.pop(key, None)

    def find(self, key: ActuatorKey) -> GuardedActuator | None:
        return self._actuators.get(key)

    def actuators(self) -> Iterator[GuardedActuator]:
        return iter(self._actuators.values())

    def of_device(self, device_id: str) -> list[GuardedActuator]:
        return [a for key, a in self._actuators.items() if key.esp_id == device_id]

    def covered_actuators(self, scope: Scope) -> list[GuardedActuator]:
        """The actuators of the devices in a scope."""
        devices = set(self.covered(scope))
        return [a for key, a in self._actuators.items() if key.esp_id in devices]

    def holds(self) -> dict[ActuatorKey, Hold]:
        return {key: a.hold for key, a in self._actuators.items() if a.hold is not None}

    def shift(self, seconds: float) -> None:
        """The wall clock was set by so much."""
        for actuator in self._actuators.values():
            actuator.shift(seconds)

    # ---- interlocks

    def set_interlocks(self, interlocks: tuple[Interlock, ...]) -> None:
        by_actuator: dict[ActuatorKey, list[Interlock]] = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                by_actuator.setdefault(key, []).append(interlock)
        self.interlocks = interlocks
        self._by_actuator = {key: tuple(entries) for key, entries in by_actuator.items()}

    def to_release(self) -> Iterable[GuardedActuator]:
        """What runs and may not, now that something else has changed."""
        if not self.interlocks:
            return ()
        keys = to_release(self.interlocks, self._others(self.interlocks))
        return [self._actuators[key] for key in keys if key in self._actuators]

    # ---- judging

    def facts(
        self, command: Command, stops: SafetyState, now: float, *, link_up: bool, record_ok: bool
    ) -> CommandFacts:
        actuator = self._actuators.get(command.key)
        presence = self._devices.get(command.esp_id)
        zone_id = "" if presence is None else presence.zone_id
        interlocks = self._by_actuator.get(command.key, ())
        return CommandFacts(
            stop=stops.covering(command.esp_id, zone_id),
            device=None
            if presence is None
            else DeviceFacts(
                approval=Approval.APPROVED if presence.approved else Approval.PENDING,
                online=presence.online,
                zone_id=zone_id,
            ),
            actuator=None if actuator is None else actuator.facts(now),
            link_up=link_up,
            automation_held=stops.holds_automation(command.esp_id, zone_id),
            record_ok=record_ok,
            pin_user="" if actuator is None else actuator.pin_user,
            interlocks=interlocks,
            others=self._others(interlocks) if interlocks else _NOBODY,
        )

    def _others(self, interlocks: Iterable[Interlock]) -> dict[ActuatorKey, OtherActuator]:
        """What is known of the actuators that these name."""
        found = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                actuator = self._actuators.get(key)
                if actuator is not None:
                    found[key] = actuator.as_other(online=self.is_online(key.esp_id))
        return found


_NOBODY: Mapping[ActuatorKey, OtherActuator] = {}
