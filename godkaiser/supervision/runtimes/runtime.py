"""The interface between actors and what runs them: threads and real time here, a seeded scheduler
and a virtual clock in `simulation.py`. Everything above this module is the same code in both.
"""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from godkaiser.host import boot_clock
from godkaiser.supervision.events import LifeStep
from godkaiser.supervision.mailbox import Mailbox
from godkaiser.supervision.reply import Reply
from godkaiser.supervision.runtimes.pool import Pool
from godkaiser.supervision.runtimes.timers import Timer, TimerThread

if TYPE_CHECKING:
    from godkaiser.supervision.incarnation import Incarnation
    from godkaiser.supervision.spec import MailboxSpec
    from godkaiser.supervision.system import ActorSystem


class Runtime(Protocol):
    """What an actor system needs from its environment. `random` is in [0, 1), times are in seconds.

    `monotonic` counts from the start of the machine, so that within one `boot_id` a value is also
    valid for the next process.
    """

    def bind(self, system: ActorSystem) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    def boot_id(self) -> str: ...
    def random(self) -> float: ...
    def pause(self, seconds: float) -> None: ...
    def await_event(self, event: threading.Event, timeout_s: float) -> bool: ...
    def new_mailbox(self, spec: MailboxSpec) -> Mailbox: ...
    def new_reply(self) -> pykka.Future[Any]: ...
    def spawn(self, life: Incarnation) -> None: ...
    def add_timer(self, timer: Timer) -> None: ...
    def stack_of(self, life: Incarnation) -> str: ...


def _tolerant(signal: threading.Lock) -> Callable[[], None]:
    """A wake that ignores a second call: two senders may both have seen the reader wait."""
    release = signal.release

    def wake() -> None:
        try:  # noqa: SIM105  (suppress() costs ten times as much, and this runs for each message)
            release()
        except RuntimeError:
            pass

    return wake


class ThreadedRuntime:
    """One daemon thread for each actor, as in Pykka's ThreadingActor; `pooled` actors share a few.

    A Python thread cannot be killed: an actor that never returns from a message is given up by its
    supervisor; its thread is a daemon and does not keep the process from ending.
    """

    def __init__(self, *, stall_check_s: float = 1.0, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._timers = TimerThread(boot_clock.boot_time)
        self._stall_check_s = stall_check_s
        self._system: ActorSystem | None = None
        self._looking = threading.Lock()
        self._pool = Pool()
        self.now = time.time
        self.monotonic = boot_clock.boot_time
        self.boot_id = boot_clock.boot_id
        self.random = self._random.random
        self.pause = time.sleep

    def bind(self, system: ActorSystem) -> None:
        self._system = system

    def start(self) -> None:
        self._timers.start()
        self._schedule_stall_check()

    def stop(self) -> None:
        self._timers.stop()
        self._pool.stop()

    def await_event(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)

    def new_mailbox(self, spec: MailboxSpec) -> Mailbox:
        return Mailbox(spec)

    def new_reply(self) -> pykka.Future[Any]:
        return Reply()

    def add_timer(self, timer: Timer) -> None:
        self._timers.add(timer)

    def spawn(self, life: Incarnation) -> None:
        """Raises RuntimeError when the machine cannot start a thread."""
        if life.cell.spec.pooled:
            self._pool.spawn(life)
            return
        thread = threading.Thread(target=_run, args=(life,), name=life.cell.path, daemon=True)
        thread.start()

    def stack_of(self, life: Incarnation) -> str:
        """The stack of the thread that runs the actor now; "" when it runs none."""
        frame = self._frames().get(life.thread_id or 0)
        return "" if frame is None else "".join(traceback.format_stack(frame))

    def _frames(self) -> dict[int, FrameType]:
        """Read all stacks with garbage collection off. CPython gh-106883: a collection that begins
        within this call deadlocks the interpreter in the versions before the fix.
        """
        with self._looking:
            collects = gc.isenabled()
            gc.disable()
            try:
                return sys._current_frames()
            finally:
                if collects:
                    gc.enable()

    # ---- the stall detector

    def _schedule_stall_check(self) -> None:
        due = self.monotonic() + self._stall_check_s
        self._timers.add(Timer(due, None, self._check_for_stalls))

    def _check_for_stalls(self, _timer: Timer) -> None:
        self._schedule_stall_check()
        self._pool.relieve()
        if self._system is None:
            return
        now = self.monotonic()
        for cell in self._system.cells():
            life = cell.life
            if life is None:
                continue
            envelope, since = life.current, life.current_since
            if envelope is None or now - since < cell.spec.stall_after_s:
                continue
            if life.stalled_since == since:
                continue
            life.stalled_since = since
            detail = f"has been handling {type(envelope.message).__name__} for {now - since:.1f} s"
            cell.emit(LifeStep.STALLED, detail=detail, trace=self.stack_of(life))


def _run(life: Incarnation) -> None:
    signal = threading.Lock()
    signal.acquire()
    cell = life.cell
    if not cell.attach(life, _tolerant(signal)):
        return
    cell.system.asking.enter(cell)
    try:
        if life.begin():
            _read(life, signal)
    finally:
        cell.mailbox.leave()
        cell.thread_left(life)


def _read(life: Incarnation, signal: threading.Lock) -> None:
    cell = life.cell
    take = cell.mailbox.take
    handle = life.handle
    wait = signal.acquire
    while True:
        envelope = take()
        if envelope is not None:
            if not handle(envelope):
                return
        else:
            wait()
            if cell.life is not life:
                return
