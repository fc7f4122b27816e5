"""Sets up a device: configuration first, then zone and subzones.

Used by a device actor only, which passes in the desired state and the device's answers.
"""

from __future__ import annotations

import math

from godkaiser import paths
from godkaiser.actors.devices.config_push import ANSWER_TIMEOUT_S, ConfigPush
from godkaiser.actors.devices.messages import EntriesForgotten, SubzoneForgotten
from godkaiser.actors.devices.placement_push import PlacementPush
from godkaiser.actors.message import Message
from godkaiser.domain.devices.device_config import Wanted
from godkaiser.domain.entities import DeviceRecord
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import DevicePort
from godkaiser.protocol import inbound
from godkaiser.protocol.errors import PayloadError
from godkaiser.supervision import ActorContext

CONFIG_DELAY_S = 0.5
COOL_DOWN_S = 45.0
FAILED_OUTCOMES = frozenset({"failed", "rejected", "expired"})


class PushConfig(Message, frozen=True, kw_only=True):
    """To oneself: send the next section of the configuration."""


class PushPlacement(Message, frozen=True, kw_only=True):
    """To oneself: send the next step of the placement."""


class DeviceSetup:
    def __init__(self, context: ActorContext, port: DevicePort) -> None:
        self._context = context
        self._port = port
        self._config = ConfigPush()
        self._placement = PlacementPush(port)
        self._record = DeviceRecord(device_id="")
        self._wanted = Wanted(board="")
        self._pushed_at = -math.inf

    @property
    def is_busy(self) -> bool:
        return self._config.is_busy or self._placement.is_busy

    @property
    def config_state(self) -> tuple[str, str]:
        """unknown, pending, in_sync or failed, and the device's own message."""
        return self._config.sync, self._config.error

    @property
    def placement_state(self) -> tuple[str, str]:
        return self._placement.sync, self._placement.error

    def is_due(
        self, record: DeviceRecord, wanted: Wanted, beat: inbound.Heartbeat, now: float
    ) -> bool:
        """Whether a heartbeat shows that the device differs from its desired state; `now` is
        monotonic.
        """
        if self.is_busy or now - self._pushed_at <= COOL_DOWN_S:
            return False
        counted = (beat.sensor_count, beat.actuator_count)
        subzones = beat.config_status.get("subzone_count")
        return (
            beat.runtime_state_degraded
            or (beat.sensor_count is not None and counted != wanted.counts)
            or (bool(record.zone_set_by) and beat.zone_id != record.zone_id)
            or (isinstance(subzones, int) and subzones < len(record.subzones))
        )

    def plan(self, record: DeviceRecord, wanted: Wanted, beat: inbound.Heartbeat | None) -> None:
        """Start over with the present desired state."""
        self._record = record
        self._wanted = wanted
        self._config.begin(wanted, None if beat is None else beat.sensor_count)
        self._placement.begin(
            record,
            None if beat is None else beat.zone_id,
            safe_mode=not wanted.may_leave_safe_mode,
        )
        # The device accepts configuration only after it has handled the ack.
        self._context.cancel("placement")
        self._context.schedule(CONFIG_DELAY_S, PushConfig(), key="config")

    def send_config(self) -> None:
        """Send the next section of the configuration; without one, begin the placement."""
        self._pushed_at = self._context.monotonic()
        part = self._config.next_part(self._context.now())
        if part is None:
            self._configured()
            return
        try:
            self._port.config(self._record.device_id, part)
        except PayloadError as error:
            self._config.give_up(str(error))
            self._configured()
            return
        except NotConnected:
            # It is sent again after the timeout, and planned again when the device returns.
            pass
        self._context.schedule(ANSWER_TIMEOUT_S, PushConfig(), key="config")

    def send_placement(self) -> None:
        wait_s = 0.0
        try:
            wait_s = self._placement.send()
        except PayloadError as error:
            self._placement.give_up(str(error))
        except NotConnected:
            wait_s = ANSWER_TIMEOUT_S
        if wait_s:
            self._context.schedule(wait_s, PushPlacement(), key="placement")

    def answered(self, response: inbound.ConfigResponse) -> None:
        self._go_on(part_done=self._config.answered(response))

    def outcome(self, outcome: inbound.IntentOutcome) -> None:
        """Handle the outcome of a push, if there is no answer."""
        if outcome.outcome == "persisted":
            self._go_on(part_done=self._config.persisted(outcome.intent_id))
        elif outcome.outcome in FAILED_OUTCOMES and self._config.failed_outcome(
            outcome.intent_id, outcome.code, outcome.reason
        ):
            self._go_on(part_done=False)

    def placed(self, ack: inbound.PlacementAck) -> None:
        """The device has answered a step of the placement."""
        step, wait_s = self._placement.answered(ack)
        if step is not None and step.kind == "remove":
            self._tell_registrar(
                SubzoneForgotten(device_id=self._record.device_id, subzone_id=step.name)
            )
        if wait_s < 0:
            if not self._placement.is_busy:
                self._context.cancel("placement")
        elif self._placement.is_busy:
            self._context.schedule(wait_s, PushPlacement(), key="placement")
        else:
            self._context.cancel("placement")

    def _go_on(self, *, part_done: bool) -> None:
        if part_done and self._config.is_busy:
            self.send_config()
        elif not self._config.is_busy:
            self._context.cancel("config")
            self._configured()

    def _configured(self) -> None:
        if self._config.sync == "in_sync" and self._wanted.removed:
            self._tell_registrar(
                EntriesForgotten(device_id=self._record.device_id, entries=self._wanted.removed)
            )
        if self._placement.is_busy:
            self.send_placement()

    def _tell_registrar(self, message: Message) -> None:
        self._context.handle(paths.REGISTRAR).tell(message)
