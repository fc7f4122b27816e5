"""The sensor watch: periodically finds silent or suspect sensors, from the views of devices."""

from __future__ import annotations

from typing import Any

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.services.timekeeper import Tick
from godkaiser.actors.storage.housekeeper import RunJob, RunView
from godkaiser.domain.entities import Reading
from godkaiser.domain.sensors import health as sensor_health
from godkaiser.domain.sensors.health import SensorCheck
from godkaiser.supervision import Actor

SENSORS_JOB = "sensor_health"


class SensorWatchActor(Actor):
    """Publishes its RunView, with `counts` by state. It changes nothing."""

    def on_start(self) -> None:
        self.context.join(SENSORS_JOB)

    def on_receive(self, message: object) -> Any:
        match message:
            case Tick():
                return self._look("timekeeper")
            case RunJob(by=by):
                return self._look(by)
            case _:
                self.context.unhandled(message)
        return None

    def _look(self, by: str) -> RunView:
        began = self.context.now()
        checks = self._findings(self.context.monotonic())
        view = RunView(
            job=SENSORS_JOB,
            state="done",
            by=by,
            started_at=began,
            ended_at=self.context.now(),
            counts=sensor_health.counts(checks),
            result=sensor_health.summary(checks),
        )
        self.context.publish(SENSORS_JOB, view)
        return view

    def _findings(self, now: float) -> list[SensorCheck]:
        found: list[SensorCheck] = []
        for path in self.context.children(paths.DEVICES):
            device = self.context.look(path, "view")
            for config in device.sensors if isinstance(device, DeviceView) else ():
                newest = self.context.look(path, config.key)
                reading = newest if isinstance(newest, Reading) else None
                found.append(sensor_health.state_of(config, reading, now))
        return found
