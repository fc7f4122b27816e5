"""The rule actor dies in the moment of asking: a dose is never asked for twice."""

from __future__ import annotations

import pytest

from godkaiser.actors.rule import RuleActor
from godkaiser.domain.entities import Quality, Reading, SensorKey, Verb
from godkaiser.domain.rules import ActuatorAction, RuleDefinition, SensorCondition
from godkaiser.messages import ReadingAccepted, RequestCommand
from godkaiser.supervision import Actor, ActorSystem, ChildSpec, SimulatedRuntime, supervisor

KEY = SensorKey("ESP_A00001", 4, "ds18b20")
HOT = SensorCondition(
    esp_id=KEY.esp_id, gpio=KEY.gpio, sensor_type=KEY.sensor_type, operator=">", value=25.0
)


class Sink(Actor):
    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    def on_receive(self, message):
        self._heard.append(message)


class Dying(RuleActor):
    """Dies once, as soon as it has asked for something."""

    deaths: list[str]
    noted: dict
    known: list[int]

    def _request(self, action):
        memory = self.noted.get(1)
        self.known.append(0 if memory is None else memory.fired_count)
        asked = super()._request(action)
        if not self.deaths:
            self.deaths.append(action.command.value)
            reason = "announced"
            raise RuntimeError(reason)
        return asked


@pytest.mark.parametrize("verb", [Verb.ON, Verb.OFF])
def test_what_was_asked_for_is_not_asked_for_again_but_an_off_is(verb):
    action = ActuatorAction(
        esp_id="ESP_A00002", gpio=25, command=verb, duration=5.0 * (verb is Verb.ON)
    )
    rule = RuleDefinition(name="dose", conditions=(HOT,), actions=(action,), cooldown_seconds=600.0)
    safety, journal, deaths, noted, known = [], [], [], {}, []
    dying = type("Doomed", (Dying,), {"deaths": deaths, "noted": noted, "known": known})
    runtime = SimulatedRuntime(1)
    runtime.calm()
    tree = supervisor(
        "gateway",
        [
            supervisor("storage", [ChildSpec(name="journal", factory=lambda: Sink(journal))]),
            supervisor("safety", [ChildSpec(name="guard", factory=lambda: Sink(safety))]),
            supervisor(
                "rules",
                [ChildSpec(name="1", factory=lambda: dying(1, rule, None, noted.__setitem__))],
            ),
        ],
    )
    system = ActorSystem(tree, runtime)
    system.start()
    assert runtime.run_until(system.ready.is_set, 60.0)
    for second in range(5):
        reading = Reading(
            key=KEY, at=runtime.now(), received_at=runtime.now(), raw=480.0, value=30.0, unit="°C",
            quality=Quality.GOOD,
        )  # fmt: skip
        system.handle("/rules/1").tell(ReadingAccepted(reading=reading))
        runtime.run_for(1.0 + second)
    assert deaths == [verb.value]
    asked = [m.command.verb for m in safety if isinstance(m, RequestCommand)]
    # Known to be undone, an OFF is asked for again; a dose may be lost, and never doubled.
    assert asked == ([Verb.ON] if verb is Verb.ON else [Verb.OFF, Verb.OFF])
    # It is noted as done before a dose is asked for, and after an OFF is.
    assert known == ([1] if verb is Verb.ON else [0, 0])
