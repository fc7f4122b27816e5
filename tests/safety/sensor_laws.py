"""What must hold of readings: stop buttons stop, rules act on what was measured last, whatever comes late.

The newest reading is the one with the newest time of its device, not the one that was heard last.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from godkaiser.actors.safety.messages import ClearStop
from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.rules.rules import ActuatorAction, RuleDefinition, SensorCondition
from godkaiser.domain.safety.stop_inputs import StopInput
from godkaiser.protocol import topics
from tests.safety.plant_laws import HEARD_S, MEND_S, Laws
from tests.safety.world.plant_model import Plant, Sent

Ref = tuple[str, int, str]
HOLDS: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt}
NOTICED_S = 5.0
"""A button is noticed, and a stop given, within this time of its reading."""


class Newest(NamedTuple):
    ts: int
    value: float
    raw: float
    heard_at: float


class SensorLaws:
    """`is_stopped` says of a scope whether a stop of it is active. While the gateway's clock is wrong
    (`trusts_clock`), readings seem to be of another time, and rules and buttons do without them.
    """

    def __init__(
        self, plant: Plant, laws: Laws, rules: Sequence[RuleDefinition], inputs: Iterable[StopInput]
    ) -> None:
        self._plant = plant
        self._laws = laws
        self._rules = {f"rule:{n}": rule for n, rule in enumerate(rules, 1)}
        self._inputs = tuple(inputs)
        self._newest: dict[Ref, Newest] = {}
        self.is_stopped: Callable[[str], bool] = lambda _scope: True
        self.trusts_clock: Callable[[], bool] = lambda: True

    def heard(self, topic: str, payload: bytes) -> None:
        if not topic.endswith("/data"):
            return
        parsed = topics.parse(topic)
        if parsed is None or parsed.gpio is None:
            return
        body = msgspec.json.decode(payload)
        ref = (parsed.device_id, parsed.gpio, body["sensor_type"])
        before = self._newest.get(ref)
        if not body["ts"] or (before is not None and body["ts"] < before.ts):
            return
        self._newest[ref] = Newest(body["ts"], body["value"], body["raw"], self._plant.now())
        for entry in self._inputs:
            if (entry.sensor.esp_id, entry.sensor.gpio) == ref[:2] and self._is_pressed(entry):
                self._expect_stop(entry)
        for issuer, rule in self._rules.items():
            if self._is_false(issuer, 0.0):
                self._expect_release(issuer, rule)

    # ---- stop buttons

    def _is_pressed(self, entry: StopInput, known_for_s: float = 0.0) -> bool:
        if not self.trusts_clock():
            return False
        newest = self._newest.get(
            (entry.sensor.esp_id, entry.sensor.gpio, entry.sensor.sensor_type)
        )
        return (
            newest is not None
            and newest.raw < (entry.pressed_below or 0.0)
            and newest.heard_at <= self._plant.now() - known_for_s
        )

    def _expect_stop(self, entry: StopInput) -> None:
        def unheeded() -> str:
            if not self._is_pressed(entry) or self.is_stopped(str(entry.scope)):
                return ""
            return f"the stop button {entry} is pressed, and {entry.scope} is not stopped"

        self._laws.within(NOTICED_S, unheeded, entry.sensor.esp_id)

    def cleared(self, message: ClearStop, scope: str) -> None:
        """A clear was answered."""
        if message.dry_run or message.accept_unconfirmed:
            return
        for entry in self._inputs:
            if str(entry.scope) == scope and self._is_pressed(entry, HEARD_S):
                self._plant.complain(f"{scope} was cleared while its button {entry} is pressed")

    # ---- rules

    def _is_false(self, issuer: str, known_for_s: float) -> bool:
        """One of its conditions is not met by the newest reading, and that is known for so long."""
        if not self.trusts_clock():
            return False
        limit = self._plant.now() - known_for_s
        for condition in self._rules[issuer].conditions:
            assert isinstance(condition, SensorCondition)
            newest = self._newest.get((condition.esp_id, condition.gpio, condition.sensor_type))
            if newest is None or condition.value is None or newest.heard_at > limit:
                continue
            if not HOLDS[condition.operator](newest.value, condition.value):
                return True
        return False

    def energising_left(self, sent: Sent) -> None:
        if sent.issuer not in self._rules or sent.asked_at is None:
            return
        known_for_s = self._plant.now() - sent.asked_at + HEARD_S
        if self._is_false(sent.issuer, known_for_s):
            self._plant.complain(f"{sent} left, though the newest readings are against it")

    def _expect_release(self, issuer: str, rule: RuleDefinition) -> None:
        """A rule that is not true any more lets go what it switched on to have it only then."""
        for action in rule.actions:
            if not isinstance(action, ActuatorAction) or not action.release:
                continue
            pin = self._plant.pins[ActuatorKey(action.esp_id, action.gpio)]
            if not pin.may_run or not pin.sent or pin.sent[-1].issuer != issuer:
                continue
            last = pin.sent[-1]

            def kept() -> str:
                leads = pin.may_run and pin.sent[-1] is last and last.energises  # noqa: B023
                if not leads or not self._is_false(issuer, 0.0):
                    return ""
                return f"{issuer} is not true any more, and its {last} is not ended"  # noqa: B023

            self._laws.within(MEND_S, kept, action.esp_id)
