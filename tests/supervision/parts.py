"""Actors and trees that the tests of the supervision runtime are made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from godkaiser.supervision import (
    Actor,
    ActorSystem,
    Chances,
    ChildSpec,
    LifeEvent,
    LifeStep,
    Runtime,
    SimulatedRuntime,
    ThreadedRuntime,
    supervisor,
)

PATIENCE_S = 30.0
DEFAULTS: dict[str, Any] = {}
"""How children are made unless a test says otherwise."""
NO_FAULTS = Chances(interrupt=0.0, drowsy=0.0)


class Poison(Exception):
    """What a test sends to make an actor fail."""


class Refusal(Exception):
    """An answer of Diary, not a fault."""


class Diary(Actor):
    """Writes each message and each step of its life into a list; fails when it is sent an error."""

    refusals = (Refusal,)

    def __init__(self, pages: list[Any] | None = None) -> None:
        super().__init__()
        self.pages = pages if pages is not None else []

    def on_start(self) -> None:
        self.pages.append(("start", self.context.path, self.context.incarnation))

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        if callable(message):
            return message(self)
        self.pages.append(message)
        return message

    def on_stop(self) -> None:
        self.pages.append(("stop", self.context.path, self.context.incarnation))


def child(name: str, factory: Callable[[], Actor], **how: Any) -> ChildSpec:
    return ChildSpec(name=name, factory=factory, **{**DEFAULTS, **how})


def diary(name: str, pages: list[Any] | None = None, **how: Any) -> ChildSpec:
    return child(name, lambda: Diary(pages), **how)


def root(*children: ChildSpec, **how: Any) -> ChildSpec:
    return supervisor("root", children, **how)


class Steps:
    """The life events of a system, awaited instead of slept for."""

    def __init__(self, system: ActorSystem) -> None:
        self._changed = threading.Condition()
        self.events: list[LifeEvent] = []
        system.events.subscribe(self._note)

    def _note(self, event: LifeEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, path: str) -> list[LifeStep]:
        return [event.step for event in self.events if event.path == path]

    def await_(self, path: str, step: LifeStep, times: int = 1) -> LifeEvent:
        def found() -> list[LifeEvent]:
            return [e for e in self.events if e.path == path and e.step is step]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= times, PATIENCE_S):
                raise AssertionError(f"{path} was never {step}; it was {self.of(path)}")
            return found()[times - 1]


@contextmanager
def threaded(spec: ChildSpec, runtime: Runtime | None = None) -> Iterator[ActorSystem]:
    """The tree on real threads, ready; stopped in order at the end."""
    system = ActorSystem(spec, runtime or ThreadedRuntime(stall_check_s=0.02))
    system.steps = Steps(system)  # type: ignore[attr-defined]
    system.start()
    assert system.ready.wait(PATIENCE_S)
    try:
        yield system
    finally:
        assert system.stop(PATIENCE_S)


def simulated(
    spec: ChildSpec, seed: int = 0, chances: Chances = NO_FAULTS, **how: Any
) -> tuple[ActorSystem, SimulatedRuntime]:
    """The tree in a simulation, ready."""
    runtime = SimulatedRuntime(seed, chances, **how)
    system = ActorSystem(spec, runtime)
    system.start()
    assert runtime.run_until(system.ready.is_set, 60.0)
    return system, runtime


def settle(runtime: SimulatedRuntime, system: ActorSystem, limit_s: float = 600.0) -> None:
    """No more faults: turn until nothing is on its way and everybody is up."""
    runtime.calm()
    assert runtime.run_until(lambda: is_settled(system), limit_s), [
        (i.path, i.state, i.mailbox_depth) for i in system.tree()
    ]


def is_settled(system: ActorSystem) -> bool:
    return all(info.state == "running" and not info.mailbox_depth for info in system.tree())


def paths(infos: Sequence[Any]) -> list[str]:
    return [info.path for info in infos]
