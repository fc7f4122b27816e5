"""Scenes on the stage of `stage.py`: operators, weather on the wire, bad hardware, faults and crashes in
random order, often with one upon the other; then peace, in which everything must work again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from unittest import mock

from godkaiser import paths
from godkaiser.actors.safety.messages import RequestCommand
from godkaiser.domain.entities import ActuatorKey, Verb
from godkaiser.domain.safety.interlocks import InterlockKind
from godkaiser.domain.safety.stop_state import GLOBAL, Scope
from godkaiser.simulator.raw_values import raw_of
from godkaiser.supervision import ResendRefused, mailbox
from tests.safety.peace import peace
from tests.safety.world import gateway_in_world
from tests.safety.world.gateway_in_world import OFFLINE_AFTER_S, TICK_S
from tests.safety.world.memory_files import SETTLE_S
from tests.safety.world.site import BUTTON_PIN, PRESSED_RAW, RELEASED_RAW
from tests.safety.world.stage import Stage

PAUSES_S = (0.02, 0.2, 0.6, 1.5, 3.0, 6.0)
SMALL_LANE = 64


def play(seed: int, *, scenes: int | None = None) -> Stage:
    """The stage after it; `stage.plant.wrong` is what went wrong."""
    # A flood that is a flood in thousands of messages would take its time in each seed.
    with mock.patch.object(mailbox, "URGENT_CAPACITY", SMALL_LANE):
        return _play(seed, scenes)


def _play(seed: int, scenes: int | None) -> Stage:
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
    if stage.choices.random() < 0.2:
        stage.devices[other.esp_id].denying.add(other.gpio)
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
    if stage.choices.random() < 0.6:
        weather(stage)
    elif stage.choices.random() < 0.6:
        # So slow to a device that a stop and its clear are over before a command is there.
        device_id = stage.choices.choice(stage.site.devices)
        stage.hazards.slow_down(device_id, stage.choices.choice([7.0, 12.0]), 4.0)
        stage.hazards.impaired_for(20.0)
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
        except (KeyError, ResendRefused):
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
        stage.broker.offer(packet)


def flood(stage: Stage) -> None:
    """More readings of one chip at once than any lane has room for; then a stop."""
    if stage.choices.random() < 0.5:
        stage.system.crash(paths.SAFETY)
    device_id = stage.site.devices[-1]
    link = stage.broker.devices.get(device_id)
    if link is None:
        return
    body = {"ts": int(stage.device_time), "gpio": BUTTON_PIN, "esp_id": device_id, "raw_mode": True}
    body |= {"sensor_type": "moisture", "raw": stage.raw["moisture"], "value": 0.0, "unit": "raw"}
    topic = f"kaiser/god/esp/{device_id}/sensor/{BUTTON_PIN}/data"
    for number in range(SMALL_LANE + 20):
        link.publish(topic, json.dumps(body | {"seq": 100_000 + number}).encode(), 0)
    stage.pass_time(stage.choices.choice([0.01, 0.2, 0.6]))
    stop(stage)


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


def install(stage: Stage) -> None:
    stage.hazards.install_late_one(stage.choices.choice([0.0, 1.0, 3.0]))


def storage(stage: Stage) -> None:
    stage.hazards.storage_away = not stage.hazards.storage_away


def disk(stage: Stage) -> None:
    """The disk of the small files is full, or cannot be flushed; or takes writes again."""
    if any(d.has_failed for d in stage.hazards.disks()):
        for each in stage.hazards.disks():
            each.mend(stage.now())
        stage.agenda.after(SETTLE_S + 0.1, stage.check_latched)
        return
    is_full = stage.choices.random() < 0.7
    for each in stage.hazards.disks():
        each.is_full, each.is_shaky = is_full, not is_full
    if stage.choices.random() < 0.5:
        stop(stage)
        stage.pass_time(stage.choices.choice([0.2, 3.0, 12.0]))
        disk(stage)
        stage.pass_time(SETTLE_S + 1.0)


def set_clock(stage: Stage) -> None:
    jumps = [-3600.0, -2.0, 2.0, 3600.0, 30 * 86_400.0, -1.0e9]
    stage.runtime.jump_clock(stage.choices.choice(jumps))


# ---- devices


def night(stage: Stage) -> None:
    """Nothing happens for a while; a device that has been away for long does not count as online."""
    if stage.choices.random() < 0.5:
        device_id = stage.choices.choice(stage.site.devices)
        if stage.devices[device_id].connected:
            stage.disconnect(device_id, reboots=False)
        set_clock(stage)
    stage.pass_time(OFFLINE_AFTER_S + TICK_S + 15.0)
    for device_id in stage.site.devices:
        view = stage.system.published_value(paths.device(device_id), "view")
        away = not stage.plant.connected[device_id] and stage.plant.free_for() > OFFLINE_AFTER_S
        gone_s = stage.now() - stage.gone_since.get(device_id, stage.now())
        if away and gone_s > OFFLINE_AFTER_S + TICK_S + 10.0 and view is not None and view.online:
            stage.plant.complain(f"{device_id} is away for {gone_s:.0f} s and counts as online")


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
    (come_or_go, 6), (by_hand, 6), (flood, 1), (install, 2), (night, 2), (own_stop, 3), (trouble, 9),
)  # fmt: skip
