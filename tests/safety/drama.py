"""A drama on the stage of `world.py`: operators, faults and crashes in random order, then peace."""

from __future__ import annotations

from godkaiser import paths
from godkaiser.domain.entities import Verb
from godkaiser.domain.safety_state import StopState
from tests.safety.world import DEVICES, FAN, PUMP, World

SCOPES: tuple[dict[str, str], ...] = ({}, {}, {"esp_id": "ESP_A00001"}, {"zone_id": "north"})
VICTIMS = (
    paths.SAFETY, "/control/safety", paths.ACTUATORS, paths.ACTUATORS + "/ESP_A00001:25",
    paths.device("ESP_A00001"), paths.DEVICES, paths.rule(1), paths.ROUTER, paths.JOURNAL, "/control/storage",
)  # fmt: skip


def play(seed: int) -> World:
    """The world after it; `wrong` is what went wrong."""
    world = World(seed)
    for device in world.firmware.values():
        device.on_connect(world.device_time, reconnect=False)
    world.pass_time(5.0)
    for _ in range(world.choices.randrange(6, 16)):
        _act(world)
        world.pass_time(world.choices.choice([0.05, 0.3, 2.0, 6.0]))
        if world.wrong:
            return world
    peace(world)
    return world


def _act(world: World) -> None:
    choices = world.choices
    what = choices.random()
    if what < 0.12:
        world.stop(**choices.choice(SCOPES))
    elif what < 0.2:
        world.race(choices.randrange(1, 7), choices.randrange(12))
    elif what < 0.35:
        world.clear(**choices.choice(SCOPES))
    elif what < 0.42:
        world.resume()
    elif what < 0.6:
        verb = choices.choice([Verb.ON, Verb.ON, Verb.OFF, Verb.TOGGLE, Verb.PWM])
        world.command(choices.choice(DEVICES), choices.choice([FAN, PUMP]), verb, 0.5)
    elif what < 0.7:
        try:
            world.system.crash(choices.choice(VICTIMS))
        except KeyError:
            return
    elif what < 0.76:
        world.kill()
    elif what < 0.82:
        break_link(world)
    elif what < 0.87:
        world.storage_away = not world.storage_away
    elif what < 0.93:
        device = world.firmware[choices.choice(DEVICES)]
        if device.connected:
            device.on_disconnect(world.device_time)
            if choices.random() < 0.5:
                device.restart(world.device_time)
        else:
            device.on_connect(world.device_time, reconnect=True)
    else:
        world.runtime.jump_clock(choices.choice([-3600.0, -2.0, 2.0, 3600.0]))


def break_link(world: World) -> None:
    broker = world.system.find(paths.BROKER)
    if broker is not None:
        broker.tell("lost" if world.link_up else "back")


def peace(world: World) -> None:
    """No more faults: everything must come to rest in a good state, and be usable again."""
    world.runtime.calm()
    world.storage_away = False
    world.pass_time(5.0)
    if not world.link_up:
        break_link(world)
    for device in world.firmware.values():
        if not device.connected:
            device.on_connect(world.device_time, reconnect=True)
    if not world.stop():
        world.pass_time(1.0)
        if not world.stop():
            world.wrong.append("in peace, a stop was not answered")
            return
    world.pass_time(150.0)
    _expect_all_off(world)
    if world.latch.state.strictest is not StopState.ACTIVE:
        world.wrong.append("the last stop did not last")
    _back_to_work(world)


def _back_to_work(world: World) -> None:
    """Cleared and resumed by an operator, the site works as before; until then nothing starts."""
    for record in world.latch.state.records:
        name = record.scope.name
        scope = {"device": {"esp_id": name}, "zone": {"zone_id": name}}.get(
            record.scope.kind.value, {}
        )
        world.clear(**scope)
        world.pass_time(20.0)
    if world.latch.state.records:
        world.wrong.append(f"in peace, not cleared: {world.latch.state.records}")
        return
    world.pass_time(40.0)
    _expect_all_off(world)
    world.resume()
    world.pass_time(10.0)
    for device_id, device in world.firmware.items():
        world.command(device_id, PUMP, Verb.ON)
        world.pass_time(3.0)
        if not device.levels().get(PUMP):
            world.wrong.append(f"in peace, {device_id} cannot be commanded")


def _expect_all_off(world: World) -> None:
    for device_id, device in world.firmware.items():
        on = [gpio for gpio, level in device.levels().items() if level]
        if on:
            world.wrong.append(f"{device_id} has {on} on under a stop, in peace")
    view = world.system.published_value(paths.SAFETY, "view")
    for stop in view.stops:
        if stop.scope == "global" and stop.unconfirmed:
            world.wrong.append(f"never confirmed: {stop.unconfirmed}")
