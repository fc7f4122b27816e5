"""The end of a drama: no more faults, so everything must come to rest in a good state, and work again."""

from __future__ import annotations

from collections.abc import Callable

from godkaiser import paths
from godkaiser.domain.entities import ActuatorKey, Verb
from godkaiser.domain.safety.stop_state import GLOBAL, Scope, StopState
from godkaiser.simulator.raw_values import raw_of
from tests.safety.world import gateway_in_world
from tests.safety.world.stage import Stage

SETTLING_S, CONFIRMED_WITHIN_S, CLEARED_WITHIN_S = 8.0, 90.0, 120.0
RULES_ACT_WITHIN_S = 20.0
LOCKED_S = 5.5
MOST_CLEARS, RESTED_S, DEVICE_RESTED_S = 8, 13.0, 31.0


def peace(stage: Stage) -> None:
    """No more faults: everything must come to rest in a good state, and be usable again."""
    stage.hazards.make_peace()
    stage.pass_time(SETTLING_S)
    if not stage.people.stop(GLOBAL) and not stage.people.stop(GLOBAL):
        stage.plant.complain("in peace, a stop was not answered")
        return
    _until(stage, lambda: not _on(stage) and not _unconfirmed(stage), CONFIRMED_WITHIN_S)
    stage.check_latched()
    if on := _on(stage):
        stage.plant.complain(f"{on} on under a stop, in peace")
    if names := _unconfirmed(stage):
        stage.plant.complain(f"in peace, never confirmed: {names}")
    if gateway_in_world.safety_state(stage.latch).strictest is not StopState.ACTIVE:
        stage.plant.complain("the last stop did not last")
    if not stage.plant.wrong:
        _back_to_work(stage)


def _back_to_work(stage: Stage) -> None:
    """Cleared and resumed by an operator, the site works as before; until then nothing starts."""
    stage.pass_time(LOCKED_S)
    _clear_all(stage)
    if gateway_in_world.safety_state(stage.latch).records:
        view = stage.system.published_value(paths.SAFETY, "view")
        stage.plant.complain(f"in peace, not cleared: {view}")
        return
    if on := _on(stage):
        stage.plant.complain(f"{on} went on by a clear, in peace")
    stage.people.resume()
    _expect_rules_to_act(stage)
    for key in stage.site.keys:
        _expect_usable(stage, key)


def _clear_all(stage: Stage) -> None:
    for _ in range(MOST_CLEARS):
        records = gateway_in_world.safety_state(stage.latch).records
        if not records:
            break
        scope = records[0].scope
        stage.people.clear(scope)
        _until(stage, lambda scope=scope: not _is_latched(stage, scope), CLEARED_WITHIN_S)
        for device_id in _old_builds_in_the_way(stage, scope):
            # Somebody goes there, as the alarm says.
            stage.hazards.power_cycle(device_id)
        _until(stage, lambda scope=scope: not _is_latched(stage, scope), CLEARED_WITHIN_S)


def _expect_rules_to_act(stage: Stage) -> None:
    """Something that rules watch comes true: one of them asks for its actuator."""
    before = stage.counts["asked by rule"]
    stage.raw["sht31_temp"] = raw_of("sht31_temp", 35.0)
    stage.raw["sht31_humidity"] = raw_of("sht31_humidity", 50.0)
    if not _until(stage, lambda: stage.counts["asked by rule"] > before, RULES_ACT_WITHIN_S):
        stage.plant.complain("in peace, no rule acts any more")
    stage.raw["sht31_temp"] = raw_of("sht31_temp", 15.0)
    _until(stage, lambda: not _on(stage), 60.0)


def _expect_usable(stage: Stage, key: ActuatorKey) -> None:
    """Whatever it was through, it can be switched on, with what it needs, and off again."""
    chain = [*stage.site.needs(key), key]
    for pause_s in (RESTED_S, DEVICE_RESTED_S, 0.0):
        obstacle = _start_chain(stage, chain)
        for each in reversed(chain):
            stage.people.command(each, Verb.OFF)
        off = lambda: all(not stage.plant.pins[each].level for each in chain)  # noqa: E731
        if not _until(stage, off, 20.0):
            stage.plant.complain(f"in peace, {chain} cannot be switched off")
        if not obstacle:
            stage.pass_time(0.4)
            return
        stage.pass_time(pause_s)
        for device_id, personality in stage.site.personalities.items():
            if not personality.correlates and "in doubt" in obstacle:
                stage.hazards.power_cycle(device_id)
                stage.pass_time(SETTLING_S)
    stage.plant.complain(obstacle)


def _start_chain(stage: Stage, chain: list[ActuatorKey]) -> str:
    """What is in the way; a pump's own driver makes it rest when it has run for long (contract, 10.1)."""
    for key in chain:
        verdict = stage.people.command(key, Verb.ON, duration_s=12.0)
        if verdict is None or not verdict.allowed:
            if verdict is not None and (_is_spent(stage, key) or _cannot_prove(stage, chain)):
                return ""
            words = "no verdict" if verdict is None else verdict.message
            return f"in peace, {key} cannot be switched on: {words}"
        pin = stage.plant.pins[key]
        if not _until(stage, lambda pin=pin: pin.level > 0 and pin.told == 1.0, 4.0):
            return f"in peace, {key} was allowed and does not run"
        if len(chain) > 1:
            stage.pass_time(3.2)
    return ""


def _cannot_prove(stage: Stage, chain: list[ActuatorKey]) -> bool:
    """A build without correlation ids shows by two statuses that it runs, 30 s apart: a shorter run is
    over by then, and what may only follow it never starts.
    """
    return any(not stage.site.personalities[key.esp_id].correlates for key in chain[:-1])


def _is_spent(stage: Stage, key: ActuatorKey) -> bool:
    """Its limit for the hour is used up: it may rightly wait."""
    config = stage.plant.pins[key].config
    return bool(config.max_switches_per_hour or config.max_on_s_per_hour)


def _until(stage: Stage, condition: Callable[[], bool], timeout_s: float) -> bool:
    return stage.runtime.run_until(condition, timeout_s)


def _old_builds_in_the_way(stage: Stage, scope: Scope) -> list[str]:
    """Answers of a build without correlation ids are told apart by their number only: when one got lost,
    nothing but a new session shows that no command is on its way to it.
    """
    view = stage.system.published_value(paths.SAFETY, "view")
    names = [name for stop in view.stops if stop.scope == str(scope) for name in stop.clearing]
    return [name for name in names if not stage.site.personalities[name].correlates]


def _is_latched(stage: Stage, scope: Scope) -> bool:
    return gateway_in_world.safety_state(stage.latch).find(scope) is not None


def _on(stage: Stage) -> list[str]:
    return [f"{key.esp_id}:{key.gpio}" for key, pin in stage.plant.pins.items() if pin.level]


def _unconfirmed(stage: Stage) -> tuple[str, ...]:
    view = stage.system.published_value(paths.SAFETY, "view")
    return tuple(
        name for entry in view.stops if entry.scope == str(GLOBAL) for name in entry.unconfirmed
    )
