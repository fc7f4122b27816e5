"""Standing orders: what devices may energise by themselves, judged and withdrawn by the safety
actor.

Used by the safety actor only. It gives devices their offline rules, and the permission to take a
subzone out of safe mode; the port of the devices publishes neither without the gate's permission.
"""

from __future__ import annotations

from collections.abc import Iterable

from godkaiser import paths
from godkaiser.actors.devices.messages import OfferOfflineRules, StandingDecided
from godkaiser.actors.safety.plant import Plant
from godkaiser.domain.safety.standing_orders import (
    NOTHING_STANDS,
    DeviceSituation,
    Entry,
    PinFacts,
    Standing,
    judged,
)
from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.mqtt.gate import CommandGate
from godkaiser.supervision import ActorContext


class StandingOrders:
    def __init__(self, context: ActorContext, plant: Plant, gate: CommandGate) -> None:
        self._context = context
        self._plant = plant
        self._gate = gate
        self._offered: dict[str, tuple[Entry, ...]] = {
            key[1]: value
            for key, value in context.recall_all().items()
            if isinstance(key, tuple) and key[0] == "offered"
        }
        self._decided: dict[str, Standing] = {}

    def offer(self, message: OfferOfflineRules, stops: SafetyState) -> None:
        """Take the offline rules of a device; they are allowed if nothing forbids them."""
        self._offered[message.device_id] = message.entries
        self._context.publish(("offered", message.device_id), message.entries)
        self.judge((message.device_id,), stops)

    def forget(self, device_id: str) -> None:
        """The device was removed."""
        self._gate.allow_standing(device_id, NOTHING_STANDS)
        self._decided.pop(device_id, None)
        if self._offered.pop(device_id, None) is not None:
            self._context.withdraw(("offered", device_id))

    def judge(self, devices: Iterable[str], stops: SafetyState) -> None:
        """Decide again for these devices, and tell those for which the result changes."""
        now = self._context.monotonic()
        for device_id in devices:
            standing = self._judged(device_id, stops, now)
            self._gate.allow_standing(device_id, standing)
            if self._decided.get(device_id) != standing:
                self.tell(device_id, standing)

    def judge_offered(self, stops: SafetyState) -> None:
        """Judge the devices that have offline rules."""
        self.judge(tuple(self._offered), stops)

    def tell(self, device_id: str, standing: Standing | None = None) -> None:
        """Tell a device its standing orders; also repeated to a device actor that was restarted."""
        standing = standing or self._decided.get(device_id)
        handle = self._context.find(paths.device(device_id))
        if standing is None or handle is None:
            return
        self._decided[device_id] = standing
        handle.tell(StandingDecided(standing=standing))

    def _judged(self, device_id: str, stops: SafetyState, now: float) -> Standing:
        presence = self._plant.device(device_id)
        if presence is None:
            return NOTHING_STANDS
        record = stops.covering(device_id, presence.zone_id)
        situation = DeviceSituation(
            approved=presence.approved,
            stopped="" if record is None else f"{record.scope} ({record.reason})",
            automation_held=stops.holds_automation(device_id, presence.zone_id),
        )
        offered = self._offered.get(device_id, ())
        asked = {int(entry["actuator_gpio"]) for entry in offered}
        pins = {
            state.config.gpio: PinFacts(
                config=state.config,
                pin_user=state.pin_user,
                hold=state.hold,
                interlocks=self._plant.interlocks_of(state.config.key),
            )
            for state in self._plant.of_device(device_id)
            if state.config.gpio in asked
        }
        return judged(offered, situation, pins, now)
