"""The same actors on one thread, under a seeded scheduler and a virtual clock.

A seed decides who runs next, how long each step takes, which actor is interrupted while it sends
and which one crashes where. The same seed gives the same run, so the seed alone replays a failure.

While an actor waits (an ask, a full mailbox) or is interrupted while it sends, other actors run on
top of its call stack, and it continues when they are done: the interleavings are a subset of those
of threads. A message to an actor that is suspended in this way waits, as with threads. A sender
that would block on the full mailbox of such an actor exceeds the bound instead, because with
threads that reader would go on.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pykka

from godkaiser.supervision.mailbox import Envelope, Mailbox
from godkaiser.supervision.reply import Reply
from godkaiser.supervision.runtimes.timers import Timer, TimerQueue

if TYPE_CHECKING:
    import threading

    from godkaiser.supervision.incarnation import Incarnation
    from godkaiser.supervision.spec import MailboxSpec
    from godkaiser.supervision.system import ActorSystem

EPOCH = 1_700_000_000.0
TRACE_KEPT = 20_000


class SimulatedCrash(BaseException):
    """A crash during a message. Not an Exception, so that only the runtime catches it."""


class Chances(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities in [0, 1], each per occasion.

    `interrupt`: other actors run while an actor sends. `crash`: an actor crashes while it sends.
    `drowsy`: the clock moves to the next timer although messages wait (a slow machine).
    `step_s`: the longest time that one message takes, in virtual seconds.
    """

    interrupt: float = 0.1
    crash: float = 0.0
    drowsy: float = 0.01
    step_s: float = 0.0001
    depth: int = 6


class HandledMessage(msgspec.Struct, frozen=True):
    """One step of a run; `what` is the type of the message, or "start"."""

    at: float
    path: str
    what: str


class _Task:
    __slots__ = ("begun", "life", "queued", "under_way")

    def __init__(self, life: Incarnation) -> None:
        self.life = life
        self.begun = False
        self.queued = False
        self.under_way = False


class SimulatedRuntime:
    """A `Runtime` for `ActorSystem`; `run_for`, `run_until` and `step` drive it.

    `may_crash` says of a path whether `Chances.crash` applies to it.
    """

    def __init__(
        self,
        seed: int,
        chances: Chances = Chances(),
        *,
        may_crash: Callable[[str], bool] = lambda path: path != "/",
    ) -> None:
        self.seed = seed
        self.trace: deque[HandledMessage] = deque(maxlen=TRACE_KEPT)
        self.steps = 0
        self.crashes = 0
        self._schedule = random.Random(seed)
        self._jitter = random.Random(~seed)
        self.chances = chances
        self._may_crash = may_crash
        self._clock = 0.0
        self._wall = EPOCH
        self._timers = TimerQueue()
        self._ready: list[_Task] = []
        self._tasks: dict[str, _Task] = {}
        self._depth = 0
        self._system: ActorSystem | None = None

    # ---- the interface of a runtime

    def bind(self, system: ActorSystem) -> None:
        self._system = system

    def start(self) -> None:
        """Nothing to do: the caller drives the simulation."""

    def stop(self) -> None:
        """Nothing to do: no thread was started."""

    def now(self) -> float:
        return self._wall + self._clock

    def monotonic(self) -> float:
        return self._clock

    def boot_id(self) -> str:
        return "simulated"

    def random(self) -> float:
        return self._jitter.random()

    def pause(self, seconds: float) -> None:
        self.run_for(seconds)

    def await_event(self, event: threading.Event, timeout_s: float) -> bool:
        return self.run_until(event.is_set, timeout_s)

    def new_mailbox(self, spec: MailboxSpec) -> Mailbox:
        return _SimulatedMailbox(spec, self)

    def new_reply(self) -> pykka.Future[Any]:
        return _SimulatedReply(self)

    def add_timer(self, timer: Timer) -> None:
        self._timers.add(timer)

    def spawn(self, life: Incarnation) -> None:
        task = self._tasks[life.cell.path] = _Task(life)
        self._make_ready(task)

    def stack_of(self, _life: Incarnation) -> str:
        return ""

    # ---- driving it

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Run until `condition` holds; False if it does not hold within the virtual time."""
        deadline = self._clock + timeout_s
        while not condition():
            if not self.step(deadline):
                return condition()
        return True

    def step(self, deadline: float) -> bool:
        """Handle one message, or move the clock to the next timer; False at the deadline."""
        if self._clock >= deadline:
            return False
        if self._ready and self._schedule.random() >= self.chances.drowsy:
            self._clock += self._schedule.random() * self.chances.step_s
            self._fire_due()
            self._turn(self._pick())
            return True
        due = self._timers.next_due()
        if due is not None and due <= deadline:
            self._clock = max(self._clock, due)
            self._fire_due()
            return True
        if self._ready:
            self._turn(self._pick())
            return True
        self._clock = deadline
        return False

    def jump_clock(self, seconds: float) -> None:
        """Set the wall clock forward or back; the monotonic clock does not change."""
        self._wall += seconds

    def calm(self) -> None:
        """Inject no more faults from now on, so that a test sees the final state."""
        self.chances = msgspec.structs.replace(self.chances, crash=0.0, interrupt=0.0, drowsy=0.0)

    # ---- the scheduler

    def _make_ready(self, task: _Task) -> None:
        if not task.queued and not task.under_way:
            task.queued = True
            self._ready.append(task)

    def _pick(self) -> _Task:
        ready = self._ready
        chosen = self._schedule.randrange(len(ready))
        ready[chosen], ready[-1] = ready[-1], ready[chosen]
        task = ready.pop()
        task.queued = False
        return task

    def _fire_due(self) -> None:
        for timer in self._timers.pop_due(self._clock):
            timer.fire(timer)

    def _turn(self, task: _Task) -> None:
        life = task.life
        cell = life.cell
        asking = cell.system.asking
        below = asking.current()
        self.steps += 1
        self._depth += 1
        task.under_way = True
        asking.enter(cell)
        try:
            goes_on = self._advance(task)
        finally:
            asking.enter(below)
            task.under_way = False
            self._depth -= 1
            cell.thread_left(life)
        if not goes_on:
            if self._tasks.get(cell.path) is task:
                del self._tasks[cell.path]
        elif len(cell.mailbox):
            self._make_ready(task)
        else:
            # This further take makes the mailbox wake this task at the next message.
            cell.mailbox.take()

    def _advance(self, task: _Task) -> bool:
        """Begin the life, or handle one message; False when it is over."""
        life = task.life
        cell = life.cell
        if not task.begun:
            task.begun = True
            self._note(cell.path, "start")
            return cell.attach(life, lambda: self._make_ready(task)) and life.begin()
        if cell.life is not life:
            return False
        envelope = cell.mailbox.take()
        if envelope is None:
            return True
        self._note(cell.path, type(envelope.message).__name__)
        return life.handle(envelope)

    def _note(self, path: str, what: str) -> None:
        self.trace.append(HandledMessage(self._clock, path, what))

    # ---- faults while an actor sends

    def at_send(self, *, interruptible: bool = True) -> None:
        """Let other actors run, or crash the sender (raises SimulatedCrash), each by chance.
        Not `interruptible` is for a sender that holds a lock: with threads the others would wait.
        """
        chances = self.chances
        if self._system is None:
            return
        sender = self._system.asking.current()
        if sender is None:
            return
        if interruptible and self._depth < chances.depth and self._strikes(chances.interrupt):
            for _ in range(self._schedule.randrange(1, 4)):
                if self._ready:
                    self._turn(self._pick())
        if self._may_crash(sender.path) and self._strikes(chances.crash):
            self.crashes += 1
            raise SimulatedCrash(f"simulated crash of {sender.path} while it sends")

    def _strikes(self, chance: float) -> bool:
        return chance > 0.0 and self._schedule.random() < chance

    def is_under_way(self, mailbox: Mailbox) -> bool:
        return any(
            task.under_way and task.life.cell.mailbox is mailbox for task in self._tasks.values()
        )


class _SimulatedMailbox(Mailbox):
    __slots__ = ("_runtime",)

    def __init__(self, spec: MailboxSpec, runtime: SimulatedRuntime) -> None:
        super().__init__(spec)
        self._runtime = runtime

    def post(self, envelope: Envelope, patience_s: float | None = None) -> Envelope | None:
        self._runtime.at_send()
        return super().post(envelope, patience_s)

    def post_urgent(self, envelope: Envelope, *, bounded: bool = True) -> None:
        if bounded:
            self._runtime.at_send()
        super().post_urgent(envelope, bounded=bounded)

    def _wait_for_space(self, limit_s: float) -> bool:
        if self._runtime.is_under_way(self):
            return True
        return self._runtime.run_until(self._has_space, limit_s)


class _SimulatedReply(Reply):
    def __init__(self, runtime: SimulatedRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def get(self, *, timeout: float | None = None) -> Any:
        limit_s = float("inf") if timeout is None else timeout
        if not self._runtime.run_until(lambda: self.answered, limit_s):
            raise pykka.Timeout(f"{timeout} seconds")
        return super().get(timeout=0.0)
