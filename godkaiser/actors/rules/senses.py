"""The facts of a rule: the newest reading of each sensor, and the views of other actors.

Used by a rule actor only.
"""

from __future__ import annotations

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.safety.messages import ActuatorView
from godkaiser.domain.entities import ActuatorKey, Reading
from godkaiser.domain.records.reading_order import is_newer, measured_at
from godkaiser.domain.rules import rules
from godkaiser.domain.rules.rules import Fact, Facts, RuleDefinition, StopAction
from godkaiser.domain.sensors import derived
from godkaiser.domain.sensors.sensors import may_feed_rules
from godkaiser.supervision import ActorContext


class RuleSenses:
    def __init__(self, context: ActorContext, definition: RuleDefinition, issuer: str) -> None:
        self._context = context
        self._issuer = issuer
        self._newest: dict[rules.SensorRef, Reading] = {}
        self._readings: dict[rules.SensorRef, Fact] = {}
        self._trails: dict[rules.SensorRef, tuple[Fact, ...]] = {}
        self._sensors = rules.sensors_of(definition)
        self._windows = {
            sensor: window
            for sensor in self._sensors
            if (window := rules.longest_window(definition, sensor))
        }
        self._actuators = rules.actuators_of(definition)
        self._devices = rules.devices_of(definition)
        for sensor in self._sensors:
            self._learn_latest(sensor)

    def learn(self, reading: Reading) -> None:
        """Handle a reading; an unusable one makes the value unknown at once."""
        if not reading.heard_at:
            reading = msgspec.structs.replace(reading, heard_at=self._context.monotonic())
        for ref in rules.refs_of(reading.key):
            if ref in self._sensors:
                self._take(ref, reading)

    def _take(self, ref: rules.SensorRef, reading: Reading) -> None:
        if not is_newer(reading, self._newest.get(ref)):
            return
        self._newest[ref] = reading
        if reading.value is None or not may_feed_rules(reading.quality):
            self._readings.pop(ref, None)
            return
        fact = self._readings[ref] = Fact(reading.value, measured_at(reading))
        window = self._windows.get(ref)
        if window is not None:
            self._trails[ref] = rules.extended(self._trails.get(ref, ()), fact, window)

    def facts(self) -> Facts:
        """The present facts."""
        levels: dict[rules.ActuatorRef, float | None] = {}
        reported: dict[rules.ActuatorRef, float | None] = {}
        owners: dict[rules.ActuatorRef, str] = {}
        for ref in self._actuators:
            view = self.actuator(ref)
            if view is None:
                continue
            # A command on its way counts as done; otherwise each reading would repeat it.
            pending = bool(view.pending_correlation_id)
            known = view.desired_value if pending else view.reported_value
            levels[ref] = view.desired_value if known is None else known
            reported[ref] = None if pending else view.reported_value
            if view.owner and view.owner != self._issuer:
                owners[ref] = view.owner
        online: dict[str, bool | None] = {}
        for esp_id in self._devices:
            device = self._context.look(paths.device(esp_id), "view")
            online[esp_id] = device.online if isinstance(device, DeviceView) else None
        return Facts(self._readings, self._trails, online, levels, reported, owners)

    def actuator(self, ref: rules.ActuatorRef) -> ActuatorView | None:
        key = ActuatorKey(*ref)
        view = self._context.look(paths.actuator(key.esp_id, key.gpio), "view")
        return view if isinstance(view, ActuatorView) else None

    def stops_nothing(self, action: StopAction) -> str:
        """Why an emergency stop of the rule has no device to stop; "" when it has one."""
        if action.esp_id is not None:
            known = self._context.find(paths.device(action.esp_id)) is not None
            return "" if known else f"there is no device {action.esp_id}"
        if action.zone_id is None:
            return ""
        for path in self._context.children(paths.DEVICES):
            view = self._context.look(path, "view")
            if isinstance(view, DeviceView) and view.record.zone_id == action.zone_id:
                return ""
        return f"no device is in a zone {action.zone_id}"

    def _learn_latest(self, sensor: rules.SensorRef) -> None:
        """After a restart: take the newest readings that the devices have published."""
        esp_id = sensor[0]
        view = self._context.look(paths.device(esp_id), "view")
        keys = [config.key for config in getattr(view, "sensors", ())]
        for key in (*keys, *(derived.deficit_key(key) for key in keys)):
            if sensor in rules.refs_of(key):
                reading = self._context.look(paths.device(esp_id), key)
                if isinstance(reading, Reading) and reading.usable_by_rules:
                    self.learn(reading)
