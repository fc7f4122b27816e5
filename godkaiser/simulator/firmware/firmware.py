"""One ESP32's firmware as a state machine: messages and time in, publications out.

Pure except for its own state; the network is `device.py`, the physics `greenhouse.py`, and each
topic of the contract has a module of its own. `Memory` survives a restart; everything else is
created again at each boot.
"""

from __future__ import annotations

from collections.abc import Callable

from godkaiser.protocol import budget, topics
from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing
from godkaiser.simulator.firmware.actuators import Actuators
from godkaiser.simulator.firmware.clock import DeviceClock
from godkaiser.simulator.firmware.config import readiness
from godkaiser.simulator.firmware.config.intake import ConfigIntake
from godkaiser.simulator.firmware.config.offline import Offline
from godkaiser.simulator.firmware.config.readiness import Readiness
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.diagnostics import Diagnostics
from godkaiser.simulator.firmware.emergency import Emergency
from godkaiser.simulator.firmware.memory import Actuator, Memory, Sensor
from godkaiser.simulator.firmware.outbox import Outbox, Publish, encode
from godkaiser.simulator.firmware.outcomes import Outcomes
from godkaiser.simulator.firmware.registration import Registration
from godkaiser.simulator.firmware.sensors import Sensors
from godkaiser.simulator.firmware.system_commands import SystemCommands
from godkaiser.simulator.firmware.zones import Zones
from godkaiser.simulator.personality import ESP_IDF, Personality

__all__ = ["Actuator", "Firmware", "Memory", "Publish", "Sensor"]

LARGEST_INBOUND, LONGEST_INBOUND_TOPIC = 8191, 191


class Firmware:
    """Times are unix seconds; `read_raw` asks the physics for a raw value, None for a failed read.

    `clock_error_s` is the error of the clock after a boot; None: it is not set until the first ack.
    """

    def __init__(
        self,
        device_id: str,
        now: float,
        read_raw: Callable[[str], int | None],
        *,
        memory: Memory | None = None,
        kaiser_id: str = "god",
        personality: Personality = ESP_IDF,
    ) -> None:
        self.device_id = device_id
        self.memory = memory or Memory(kaiser_id=kaiser_id)
        self.personality = personality
        self.clock_error_s: float | None = 0.0
        self.boots = 0
        self._read_raw = read_raw
        self._boot(now, "POWERON")

    def _boot(self, now: float, reset_reason: str) -> None:
        self.boots += 1
        self.memory.boot_count += 1
        self.memory.reload(now)
        core = Core(
            self.device_id, self.memory, self.personality, self._read_raw, now, now, reset_reason,
            DeviceClock(self.clock_error_s), Outbox(self.device_id, self.personality),
            state=readiness.state_at_boot(self.memory),
        )  # fmt: skip
        self._core = core
        self._outcomes = Outcomes(core)
        self._actuators = Actuators(core, self._outcomes)
        self.sensors = Sensors(core, self._outcomes)
        self._offline = Offline(core, self._actuators, self.sensors)
        self._registration = Registration(core, self._outcomes, self._offline)
        self._readiness = Readiness(core)
        self._config = ConfigIntake(core, self._outcomes, self._actuators, self._readiness)
        self._emergency = Emergency(core, self._outcomes, self._actuators, self._forget_waiting)
        self._zones = Zones(
            core, self._outcomes, self._actuators,
            lambda: self._config.lane.is_busy, self._registration.force_heartbeat,
        )  # fmt: skip
        self.system = SystemCommands(core, self._outcomes, self._emergency)
        self._diagnostics = Diagnostics(core)

    def _forget_waiting(self) -> None:
        self._actuators.lane.flush()
        self._config.lane.flush()
        self._offline.forget()

    # ---- state, for observers

    @property
    def booted_at(self) -> float:
        return self._core.booted_at

    @property
    def state(self) -> int:
        return self._core.state

    @property
    def mode(self) -> str:
        return self._core.mode

    @property
    def active_epoch(self) -> int:
        return self._core.active_epoch

    @property
    def gate_open(self) -> bool:
        return self._core.outbox.gate_open

    @property
    def connected(self) -> bool:
        return self._core.outbox.connected

    def levels(self) -> dict[int, float]:
        return {gpio: actuator.level for gpio, actuator in self.memory.actuators.items()}

    @property
    def subscriptions(self) -> list[tuple[str, int]]:
        """The twelve topic filters, in the order and with the QoS of 3.6."""
        own = f"kaiser/{self.memory.kaiser_id}/esp/{self.device_id}/"
        if not self.personality.gated:
            tails = ("system/command", "config", "actuator/+/command", "actuator/emergency",
                     "zone/assign", "subzone/assign", "subzone/remove", "subzone/safe")  # fmt: skip
            return [(topics.BROADCAST_EMERGENCY, 1), *((own + tail, 1) for tail in tails)]
        return [
            (own + "system/heartbeat/ack", 1),
            (own + "config", 2),
            (own + "system/command", 2),
            (topics.BROADCAST_EMERGENCY, 2),
            (own + "actuator/+/command", 2),
            (own + "actuator/emergency", 1),
            (own + "zone/assign", 1),
            (own + "subzone/assign", 1),
            (own + "subzone/remove", 1),
            (own + "subzone/safe", 1),
            (own + "sensor/+/command", 2),
            (topics.server_status(self.memory.kaiser_id), 1),
        ]

    def will(self, now: float) -> tuple[str, bytes]:
        """Topic and payload of the will; its time is the time of the connect (3.4)."""
        body = {
            "status": "offline",
            "esp_id": self.device_id,
            "reason": "unexpected_disconnect",
            "timestamp": self._core.clock.unix(now),
        }
        return topics.will(self.memory.kaiser_id, self.device_id), encode(body)

    # ---- inputs

    def restart(self, now: float, reset_reason: str = "POWERON") -> None:
        """Power off and on: the memory stays, everything else is reset."""
        driven, bus = self.sensors.driven, self.system.bus
        self._boot(now, reset_reason)
        self.sensors.driven, self.system.bus = driven, bus

    def stall(self, until: float) -> None:
        """A fault: the control task does nothing until then, and its messages wait."""
        for lane in (self._actuators.lane, self.sensors.lane, self._config.lane):
            lane.stalled_until = until

    def skip_seq(self) -> None:
        """A fault: a gap in the sequence numbers, as after a payload that was built and dropped."""
        self._core.next_seq()

    def on_connect(self, now: float, *, reconnect: bool) -> list[Publish]:
        core = self._core
        core.now = now
        core.outbox.disconnect()
        core.outbox.connected = True
        core.outbox.replay_offline()
        self._registration.connected(reconnect=reconnect)
        self._readiness.connected()
        if reconnect:
            # The gate is closed, so these are suppressed, but the firmware tries (3.6).
            self._actuators.tell_all()
        return self._take()

    def on_disconnect(self, now: float) -> list[Publish]:
        self._core.now = now
        self._core.outbox.disconnect()
        self._offline.disconnected()
        return self._take()

    def on_tick(self, now: float) -> list[Publish]:
        """Call it a few times a second."""
        core = self._core
        core.now = now
        if self.system.reset_at is not None and now >= self.system.reset_at:
            self.restart(now, "SW")
            return []
        core.outbox.retry_due(now)
        self._offline.tick()
        self._emergency.tick()
        self._config.tick()
        self._actuators.tick()
        self._registration.tick()
        self._outcomes.replay()
        self.sensors.tick()
        self._diagnostics.tick()
        return self._take()

    def on_message(self, topic: str, payload: bytes, now: float) -> list[Publish]:
        """Handle one message from the broker; the MQTT layer drops a message that is too large."""
        self._core.now = now
        largest = self.personality.largest_packet
        if len(payload) > LARGEST_INBOUND or len(topic) > LONGEST_INBOUND_TOPIC:
            return []
        if largest is not None and len(topic) + len(payload) > largest:
            return []
        if topic == topics.BROADCAST_EMERGENCY:
            self._emergency.broadcast(payload)
        elif topic == topics.server_status(self.memory.kaiser_id):
            limit = budget.SERVER_STATUS_BUDGET_BYTES
            self._offline.server_status(parsing.parse(payload, limit))
        else:
            parsed = topics.parse(topic)
            if parsed is not None and parsed.device_id == self.device_id:
                self._own_topic(parsed, payload)
        return self._take()

    def _own_topic(self, topic: topics.DeviceTopic, payload: bytes) -> None:
        match topic.tail:
            case Tail.HEARTBEAT_ACK:
                self._registration.acknowledged(payload)
            case Tail.CONFIG:
                self._config.push(payload)
            case Tail.ACTUATOR_COMMAND:
                self._actuators.command(topic.gpio or 0, payload)
            case Tail.ACTUATOR_EMERGENCY:
                self._emergency.device(payload)
            case Tail.SENSOR_COMMAND:
                self.sensors.command(topic.gpio or 0, payload)
            case Tail.ZONE_ASSIGN:
                self._zones.assign(payload)
            case Tail.SUBZONE_ASSIGN:
                self._zones.assign_subzone(payload)
            case Tail.SUBZONE_REMOVE:
                self._zones.remove_subzone(payload)
            case Tail.SUBZONE_SAFE:
                self._zones.make_subzone_safe(payload)
            case Tail.SYSTEM_COMMAND:
                self.system.command(payload)
            case _:
                pass

    def _take(self) -> list[Publish]:
        core = self._core
        return core.outbox.take(core.now, self.memory.kaiser_id, core.unix)
