"""A simulated ESP32 that also misbehaves: late, deaf, partial, lying, or switched by somebody beside it.

The firmware of `godkaiser/simulator` does what the contract says; here is what hardware adds. Everything
that its pins do is told to the plant model at the moment when they do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from godkaiser.domain.entities import ActuatorKey
from godkaiser.simulator.firmware import parsing
from godkaiser.simulator.firmware.firmware import Firmware, Memory
from godkaiser.simulator.firmware.outbox import Publish
from godkaiser.simulator.personality import Personality

IDLE_TICK_S = 5.0
RETRY_TICK_S = 0.1


class Observer(Protocol):
    def switched(self, key: ActuatorKey, level: float, *, own_doing: bool) -> None: ...
    def carried_out(self, key: ActuatorKey, correlation_id: str) -> None: ...
    def nothing_waits(self, device_id: str) -> None: ...


class FaultyDevice(Firmware):
    """`stuck` pins cannot be switched off, `refusing` ones answer an ON with a failure and do nothing,
    `denying` ones obey and answer with a failure, `idle` ones do nothing and answer with success.
    `mute`: no answer to commands. `deaf`: nothing that comes in is heard.
    """

    def __init__(
        self, device_id: str, now: float, read_raw: Callable[[str], int | None], observer: Observer,
        *, memory: Memory, personality: Personality,
    ) -> None:  # fmt: skip
        self.observer = observer
        self.stuck: set[int] = set()
        self.refusing: set[int] = set()
        self.denying: set[int] = set()
        self.idle: set[int] = set()
        self.mute = False
        self.deaf = False
        self.answer_delay_s = 0.0
        self._commanded = False
        super().__init__(device_id, now, read_raw, memory=memory, personality=personality)

    def _boot(self, now: float, reset_reason: str) -> None:
        before = self.levels()
        super()._boot(now, reset_reason)
        actuators: Any = self._actuators
        set_level, switch, respond = actuators.set_level, actuators._switch, actuators._respond

        def observed(actuator: Any, level: float, source: str) -> None:
            was = actuator.level
            if actuator.gpio in self.stuck and was > 0.0 >= level:
                return
            set_level(actuator, level, source)
            if actuator.level != was:
                key = ActuatorKey(self.device_id, actuator.gpio)
                self.observer.switched(key, actuator.level, own_doing=not self._commanded)

        def performed(gpio: int, message: str) -> str:
            key = ActuatorKey(self.device_id, gpio)
            self.observer.carried_out(key, parsing.scan(message, "correlation_id") or "")
            if gpio in self.idle:
                return ""
            energises = (parsing.scan(message, "command") or "").upper() != "OFF"
            if gpio in self.refusing and energises:
                return "Relay fault"
            self._commanded = True
            try:
                failure: str = switch(gpio, message)
            finally:
                self._commanded = False
            return failure or ("Verification failed" if gpio in self.denying else "")

        def responded(*details: Any, **more: Any) -> None:
            if not self.mute:
                respond(*details, **more)

        actuators.set_level, actuators._switch, actuators._respond = observed, performed, responded
        for gpio, level in self.levels().items():
            if before.get(gpio, 0.0) != level:
                key = ActuatorKey(self.device_id, gpio)
                self.observer.switched(key, level, own_doing=level > 0.0)

    # ---- what somebody does beside it

    def switch_by_hand(self, gpio: int, level: float, now: float) -> list[Publish]:
        """A local button, or a rule of its own."""
        actuator = self.memory.actuators.get(gpio)
        if actuator is None or (level > 0.0 and actuator.stopped):
            return []
        self._core.now = now
        self._actuators.set_level(actuator, level, "local:button")
        self._actuators.status(actuator)
        return self._take()

    def lift_own_stop(self, now: float) -> list[Publish]:
        """Somebody ends the device's stop at the device."""
        self._core.now = now
        self._emergency._stopped_at = None
        for actuator in self.memory.actuators.values():
            actuator.stopped = False
        self._actuators.tell_all()
        return self._take()

    def stop_by_itself(self, now: float) -> list[Publish]:
        """Its own emergency stop."""
        self._core.now = now
        self._emergency.stop()
        return self._take()

    # ---- when it has to be looked after

    def on_message(self, topic: str, payload: bytes, now: float) -> list[Publish]:
        if self.deaf:
            return []
        out = super().on_message(topic, payload, now)
        self._settle()
        return out

    def on_tick(self, now: float) -> list[Publish]:
        out = super().on_tick(now)
        self._settle()
        return out

    def _settle(self) -> None:
        if not self._actuators.lane.is_busy:
            self.observer.nothing_waits(self.device_id)

    @property
    def next_tick(self) -> float:
        """When something is due by its own clock."""
        core, actuators = self._core, self._actuators
        due = core.now + IDLE_TICK_S
        if core.outbox._retries:
            return core.now + RETRY_TICK_S
        if core.outbox.connected:
            due = min(due, self._registration._next, actuators._next_status)
        if actuators.lane.is_busy or self._config.lane.is_busy:
            due = min(due, max(actuators.lane.stalled_until, core.now + RETRY_TICK_S))
        if self._emergency._clearing is not None:
            due = min(due, self._emergency._clearing[0])
        for sensor in self.memory.sensors.values():
            due = min(due, sensor.next_due)
        for actuator in self.memory.actuators.values():
            if actuator.off_at is not None:
                due = min(due, actuator.off_at)
        return due
