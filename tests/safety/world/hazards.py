"""What goes wrong around the gateway in a simulation, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from godkaiser import paths
from godkaiser.actors.devices.messages import InstallActuator
from godkaiser.simulator.raw_values import raw_of
from tests.safety.world.memory_files import Disk
from tests.safety.world.site import RELEASED_RAW

if TYPE_CHECKING:
    from tests.safety.world.stage import Stage


class Hazards:
    """`slow` are the seconds by which a connection is slower, by its name."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._impairments = 0
        self.slow: dict[str, float] = {}
        self.storage_away = False
        self.broker_away = False

    def disks(self) -> list[Disk]:
        return [self._stage.latch, self._stage.holds, self._stage.notes.disk]

    def slow_down(self, name: str, by_s: float, for_s: float) -> None:
        self.slow[name] = by_s
        self._stage.agenda.after(for_s, lambda: self.slow.pop(name, None))

    def choice_of_delays(self) -> float:
        return self._stage.choices.choice([0.3, 0.3, 1.0, 3.0, 20.0])

    def impaired_for(self, seconds: float) -> None:
        """The wire is bad: deadlines do not count until it is good again."""
        self._impairments += 1
        name = f"weather {self._impairments}"
        self._stage.plant.hinder(name)
        self._stage.agenda.after(seconds, lambda: self._stage.plant.unhinder(name))

    def lose_link(self, *, one_only: bool) -> None:
        """Connections end without a word: all, or one that somebody else has taken over."""
        open_ones = list(self._stage.broker.connections)
        if not open_ones:
            return
        self._stage.plant.hinder("no link")
        lost = [self._stage.choices.choice(open_ones)] if one_only else open_ones
        for connection in lost:
            self._stage.broker.lose(connection, arrives=self._stage.choices.random() < 0.5)
        noticed_after_s = self._stage.choices.choice([0.0, 0.01, 0.5])
        self._stage.agenda.after(noticed_after_s, lambda: self.tell_broker_actor("lost"))

    def bring_broker_back(self) -> None:
        self.broker_away = False

    def tell_broker_actor(self, what: str) -> None:
        handle = self._stage.system.find(paths.BROKER)
        if handle is not None:
            handle.tell(what)

    def install_late_one(self, starts_after_s: float) -> None:
        """The gateway comes to know an actuator, whose actor takes its time to start."""
        stage, key = self._stage, self._stage.site.late
        guard = stage.system.find(paths.SAFETY)
        if key is None or stage.plant.pins[key].installed or guard is None:
            return
        stage.plant.pins[key].installed = True
        stage.slow_to_start[key] = starts_after_s
        stage.plant.hindered_for(starts_after_s)
        guard.tell(InstallActuator(config=stage.plant.pins[key].config))

    def victims(self) -> list[str]:
        """Actors and supervisors that may crash, the important ones more often."""
        key = self._stage.choices.choice(self._stage.site.keys)
        device = self._stage.choices.choice(self._stage.site.devices)
        return [
            paths.SAFETY, paths.SAFETY, paths.SAFETY, paths.SAFETY.rpartition("/")[0],
            paths.actuator(key.esp_id, key.gpio), paths.actuator(key.esp_id, key.gpio),
            paths.ACTUATORS, paths.device(device), paths.DEVICES, paths.RULES, paths.ROUTER,
            paths.rule(self._stage.choices.randrange(len(self._stage.site.rules)) + 1), paths.JOURNAL,
        ]  # fmt: skip

    def mend_devices(self) -> None:
        for key, pin in self._stage.plant.pins.items():
            pin.stuck = False
            device = self._stage.devices[key.esp_id]
            device.stuck.clear()
            device.refusing.clear()
            device.denying.clear()
            device.idle.clear()
            device.mute = device.deaf = False
            device.answer_delay_s = 0.0

    def power_cycle(self, device_id: str) -> None:
        """Somebody switches a device off and on: a new session, in which nothing is on its way to it."""
        self._stage.counts["power cycles"] += 1
        self._stage.disconnect(device_id, reboots=True)
        self._stage.connect(device_id, reconnect=False)

    def make_peace(self) -> None:
        self._stage.calm()
        self.storage_away = self.broker_away = False
        self.slow.clear()
        self.mend_devices()
        for disk in self.disks():
            disk.mend(self._stage.now())
        self._stage.raw.update(
            {"sht31_temp": raw_of("sht31_temp", 15.0), "ds18b20": raw_of("ds18b20", -10.0),
             "moisture": RELEASED_RAW}
        )  # fmt: skip
        for device_id, device in self._stage.devices.items():
            if not device.connected:
                self._stage.connect(device_id, reconnect=True)
        # The clock is right again, too (NTP).
        self._stage.runtime.jump_clock(self._stage.device_time - self._stage.runtime.now())
        self.install_late_one(0.0)
        for key in tuple(self._stage.laws.held):
            self._stage.people.hold(key, 0.0)
