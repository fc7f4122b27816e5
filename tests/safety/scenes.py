"""Scenes on the stage of `stage.py`: operators, weather on the wire, bad hardware, faults and crashes in
random order, often with one upon the other; then peace, in which everything must work again.
"""

from __future__ import annotations

from collections.abc import Callable

from godkaiser import paths
from godkaiser.domain.entities import ActuatorKey, Verb
from godkaiser.domain.interlocks import InterlockKind
from godkaiser.domain.safety_state import GLOBAL, Scope, StopState
from godkaiser.messages import RequestCommand
from godkaiser.simulator.raw_values import raw_of
from tests.safety import gateway_in_world
from tests.safety.site import PRESSED_RAW, RELEASED_RAW
from tests.safety.stage import Stage

PAUSES_S = (0.02, 0.2, 0.6, 1.5, 3.0, 6.0)
SETTLING_S, CONFIRMED_WITHIN_S, CLEARED_WITHIN_S = 8.0, 90.0, 120.0
MOST_CLEARS, RESTED_S, DEVICE_RESTED_S = 8, 13.0, 31.0


def play(seed: int, *, scenes: int | None = None) -> Stage:
    """The stage after it; `stage.plant.wrong` is what went wrong."""
    stage = Stage(seed)
    choices = stage.choices
    for device_id in stage.site.devices:
        stage.connect(device_id, reconnect=False)
    stage.pass_time(4.0)
    names, weights = zip(*SCENES, strict=True)
    for _ in range(choices.randrange(5, 12) if scenes is None else scenes):
        scene: Callable[[Stage], None] = choices.choices(names, weights)[0]
        stage.counts[scene.__name__] += 1
        scene(stage)
        stage.pass_time(choices.choice(PAUSES_S))
        if stage.plant.wrong:
            return stage
    peace(stage)
    return stage


def any_key(stage: Stage) -> ActuatorKey:
    return stage.choices.choice(stage.site.keys)


def any_scope(stage: Stage) -> Scope:
    return stage.choices.choice([GLOBAL, GLOBAL, *stage.site.scopes()])


# ---- people


def command(stage: Stage) -> None:
    verb = stage.choices.choice([Verb.ON, Verb.ON, Verb.ON, Verb.OFF, Verb.TOGGLE, Verb.PWM])
    stage.people.command(
        any_key(stage),
        verb,
        stage.choices.choice([0.0, 0.5, 1.0]),
        stage.choices.choice([0.0, 5.0]),
    )


def burst(stage: Stage) -> None:
    """Several commands in one breath, of which nobody waits for the verdict."""
    guard = stage.system.find(paths.SAFETY)
    keys = [any_key(stage) for _ in range(2)]
    for _ in range(stage.choices.randrange(2, 7) if guard is not None else 0):
        verb = stage.choices.choice([Verb.ON, Verb.ON, Verb.OFF])
        wish = stage.people.wish(stage.choices.choice(keys), verb)
        guard.tell(RequestCommand(command=wish))  # type: ignore[union-attr]


def pair(stage: Stage) -> None:
    """OFF A, ON A, ON B, for two that are interlocked, while the device takes its time."""
    locks = stage.site.interlocks
    if not locks:
        return
    lock = stage.choices.choice(locks)
    one, other = lock.actuator, lock.other
    if lock.kind is InterlockKind.NEVER_WITH and stage.choices.random() < 0.5:
        one, other = other, one
    if stage.choices.random() < 0.5:
        stage.devices[other.esp_id].answer_delay_s = stage.hazards.choice_of_delays()
    steps = [(other, Verb.OFF), (other, Verb.ON), (one, Verb.ON), (other, Verb.OFF), (one, Verb.ON)]
    for key, verb in steps[stage.choices.randrange(2) : stage.choices.randrange(3, 6)]:
        stage.people.command(key, verb, duration_s=stage.choices.choice([5.0, 0.0]))
        stage.pass_time(stage.choices.choice([0.0, 0.001, 0.05, 0.5, 3.5]))


def stop(stage: Stage) -> None:
    stage.people.stop(any_scope(stage))


def race(stage: Stage) -> None:
    """A stop in the midst of commands: some are judged, some on their way."""
    burst(stage)
    for _ in range(stage.choices.randrange(16)):
        stage.runtime.step(stage.runtime.monotonic() + 1.0)
    stop(stage)


def stop_and_go(stage: Stage) -> None:
    """ON, stop, clear, while the wire is slow."""
    if stage.choices.random() < 0.7:
        weather(stage)
    for _ in range(stage.choices.randrange(1, 4)):
        stage.people.command(any_key(stage), Verb.ON, duration_s=stage.choices.choice([5.0, 0.0]))
    stage.pass_time(stage.choices.choice([0.0, 0.1, 1.0]))
    scope = any_scope(stage)
    if stage.people.stop(scope):
        stage.pass_time(stage.choices.choice([5.1, 5.5, 8.0]))
        stage.people.clear(scope, accept=stage.choices.random() < 0.1)
        stage.pass_time(stage.choices.choice([0.5, 4.0]))


def clear(stage: Stage) -> None:
    stage.people.clear(any_scope(stage), accept=stage.choices.random() < 0.15)


def resume(stage: Stage) -> None:
    stage.people.resume()


def hold(stage: Stage) -> None:
    stage.people.hold(any_key(stage), stage.choices.choice([None, None, 0.0, 5.0]))


def resend(stage: Stage) -> None:
    """An admin sends dead letters again."""
    letters = stage.system.dead_letters.list()
    for letter in stage.choices.sample(letters, min(len(letters), 3)):
        try:
            stage.system.resend(letter.letter_id)
        except KeyError:
            stage.counts["not resent"] += 1


# ---- sensors


def weather_changes(stage: Stage) -> None:
    """Temperature and humidity of one chip, among them those that turn a rule true and false again."""
    temperature, humidity, water = stage.choices.choice(
        [(35.0, 50.0, 15.0), (35.0, 90.0, 15.0), (20.0, 50.0, 15.0), (20.0, 90.0, 30.0), (35.0, 50.0, 30.0)]
    )  # fmt: skip
    stage.raw["sht31_temp"] = raw_of("sht31_temp", temperature)
    stage.raw["sht31_humidity"] = raw_of("sht31_humidity", humidity)
    stage.raw["ds18b20"] = raw_of("ds18b20", water)


def flicker(stage: Stage) -> None:
    """Dry and cold, then hot and wet: true for the moment between two readings of one chip."""
    for temperature, humidity in ((20.0, 50.0), (35.0, 90.0)):
        stage.raw["sht31_temp"] = raw_of("sht31_temp", temperature)
        stage.raw["sht31_humidity"] = raw_of("sht31_humidity", humidity)
        stage.pass_time(8.5)


def button(stage: Stage) -> None:
    pressed = stage.raw["moisture"] == PRESSED_RAW
    stage.raw["moisture"] = RELEASED_RAW if pressed else PRESSED_RAW


def again(stage: Stage) -> None:
    """Older messages of devices come once more, late."""
    history = [p for p in stage.broker.history if p.qos]
    for packet in stage.choices.sample(history, min(len(history), 4)):
        stage.broker.ingest.again(packet)


# ---- the wire


def weather(stage: Stage) -> None:
    """Something on the way to the devices is slow, frozen or silent for a while."""
    seconds = stage.choices.choice([2.0, 5.0, 8.0])
    what = stage.choices.random()
    if what < 0.3:
        stage.broker.freeze(seconds)
    elif what < 0.5:
        stage.broker.withhold(seconds)
    else:
        name = stage.choices.choice([*gateway_in_world.CONNECTIONS, *stage.site.devices])
        stage.hazards.slow_down(name, stage.choices.choice([0.4, 2.0, 4.0]), seconds)
    stage.hazards.impaired_for(seconds + 9.0)


def break_link(stage: Stage) -> None:
    if stage.choices.random() < 0.4:
        stage.hazards.broker_away = True
        stage.agenda.after(stage.choices.choice([1.0, 6.0]), stage.hazards.bring_broker_back)
    stage.hazards.lose_link(one_only=stage.choices.random() < 0.6)


# ---- the gateway


def crash(stage: Stage) -> None:
    crashed = 0
    for _ in range(stage.choices.choice([1, 1, 1, 2])):
        victim = stage.choices.choice(stage.hazards.victims())
        try:
            stage.system.crash(victim)
            crashed += 1
        except KeyError:
            continue
    stage.counts["announced crashes"] += crashed


def kill(stage: Stage) -> None:
    stage.kill(power_cut=stage.choices.random() < 0.3)


def storage(stage: Stage) -> None:
    stage.hazards.storage_away = not stage.hazards.storage_away


def disk(stage: Stage) -> None:
    """The disk of the small files is full, or cannot be flushed; or takes writes again."""
    if any(d.has_failed for d in stage.hazards.disks()):
        for each in stage.hazards.disks():
            each.mend(stage.now())
        return
    is_full = stage.choices.random() < 0.7
    for each in stage.hazards.disks():
        each.is_full, each.is_shaky = is_full, not is_full


def set_clock(stage: Stage) -> None:
    jumps = [-3600.0, -2.0, 2.0, 3600.0, 30 * 86_400.0, -1.0e9]
    stage.runtime.jump_clock(stage.choices.choice(jumps))


# ---- devices


def come_or_go(stage: Stage) -> None:
    device_id = stage.choices.choice(stage.site.devices)
    if stage.devices[device_id].connected:
        stage.disconnect(device_id, reboots=stage.choices.random() < 0.5)
    else:
        stage.connect(device_id, reconnect=True)


def by_hand(stage: Stage) -> None:
    key = any_key(stage)
    device = stage.devices[key.esp_id]
    level = stage.choices.choice([0.0, 0.0, 1.0])
    stage.say(key.esp_id, device.switch_by_hand(key.gpio, level, stage.device_time))


def own_stop(stage: Stage) -> None:
    device_id = stage.choices.choice(stage.site.devices)
    device = stage.devices[device_id]
    if stage.choices.random() < 0.5:
        stage.say(device_id, device.stop_by_itself(stage.device_time))
    else:
        stage.say(device_id, device.lift_own_stop(stage.device_time))


def trouble(stage: Stage) -> None:
    """Hardware that is late, deaf, stuck, refuses, or answers with what is not so; or is well again."""
    key = any_key(stage)
    device = stage.devices[key.esp_id]
    what = stage.choices.randrange(9)
    if what == 0:
        stage.hazards.mend_devices()
    elif what == 1:
        device.answer_delay_s = stage.hazards.choice_of_delays()
    elif what == 2:
        device.stall(stage.device_time + stage.choices.choice([1.0, 5.0, 20.0]))
    elif what == 3:
        device.stuck.add(key.gpio)
        stage.plant.pins[key].stuck = True
    elif what == 4:
        device.mute = True
    elif what == 5:
        device.deaf = True
    else:
        faults = (device.refusing, device.denying, device.idle)
        faults[what - 6].add(key.gpio)


SCENES: tuple[tuple[Callable[[Stage], None], int], ...] = (
    (command, 14), (burst, 8), (pair, 12), (stop, 6), (race, 8), (stop_and_go, 12), (clear, 7),
    (resume, 6), (hold, 3), (resend, 3), (weather_changes, 7), (flicker, 4), (button, 3), (again, 4),
    (weather, 6), (break_link, 5), (crash, 10), (kill, 5), (storage, 3), (disk, 3), (set_clock, 3),
    (come_or_go, 6), (by_hand, 6), (own_stop, 3), (trouble, 9),
)  # fmt: skip


# ---- peace


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
    stage.pass_time(5.5)
    for _ in range(MOST_CLEARS):
        records = gateway_in_world.safety_state(stage.latch).records
        if not records:
            break
        stage.people.clear(records[0].scope)
        _until(
            stage, lambda scope=records[0].scope: not _is_latched(stage, scope), CLEARED_WITHIN_S
        )
    if gateway_in_world.safety_state(stage.latch).records:
        view = stage.system.published_value(paths.SAFETY, "view")
        stage.plant.complain(f"in peace, not cleared: {view}")
        return
    if on := _on(stage):
        stage.plant.complain(f"{on} went on by a clear, in peace")
    stage.people.resume()
    stage.pass_time(1.0)
    for key in stage.site.keys:
        _expect_usable(stage, key)


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
    stage.plant.complain(obstacle)


def _start_chain(stage: Stage, chain: list[ActuatorKey]) -> str:
    """What is in the way; a pump's own driver makes it rest when it has run for long (contract, 10.1)."""
    for key in chain:
        verdict = stage.people.command(key, Verb.ON, duration_s=12.0)
        if verdict is None or not verdict.allowed:
            if verdict is not None and _is_spent(stage, key):
                return ""
            words = "no verdict" if verdict is None else verdict.message
            return f"in peace, {key} cannot be switched on: {words}"
        pin = stage.plant.pins[key]
        if not _until(stage, lambda pin=pin: pin.level > 0 and pin.told == 1.0, 4.0):
            return f"in peace, {key} was allowed and does not run"
        if len(chain) > 1:
            stage.pass_time(3.2)
    return ""


def _is_spent(stage: Stage, key: ActuatorKey) -> bool:
    """Its limit for the hour is used up: it may rightly wait."""
    config = stage.plant.pins[key].config
    return bool(config.max_switches_per_hour or config.max_on_s_per_hour)


def _until(stage: Stage, condition: Callable[[], bool], timeout_s: float) -> bool:
    return stage.runtime.run_until(condition, timeout_s)


def _is_latched(stage: Stage, scope: Scope) -> bool:
    return gateway_in_world.safety_state(stage.latch).find(scope) is not None


def _on(stage: Stage) -> list[str]:
    return [f"{key.esp_id}:{key.gpio}" for key, pin in stage.plant.pins.items() if pin.level]


def _unconfirmed(stage: Stage) -> tuple[str, ...]:
    view = stage.system.published_value(paths.SAFETY, "view")
    return tuple(
        name for entry in view.stops if entry.scope == str(GLOBAL) for name in entry.unconfirmed
    )
