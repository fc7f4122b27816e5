"""One life of an actor inside its cell: from its factory to its end.

Everything that the actor's thread writes while it runs is here and not in the cell. A thread that
was given up as stuck may return at any time: it then writes into a life that is over and affects
nothing of its successor.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from godkaiser.supervision.actor import Actor, ActorContext
from godkaiser.supervision.errors import (
    ActorCrashed,
    ActorStopped,
    InjectedCrash,
    TooManyTimers,
    Waiting,
)
from godkaiser.supervision.events import LifeStep
from godkaiser.supervision.mailbox import Envelope
from godkaiser.supervision.reply import Reply, fail_reply
from godkaiser.supervision.runtimes.timers import Timer
from godkaiser.supervision.system_messages import Crash, Stop

if TYPE_CHECKING:
    from godkaiser.supervision.cell import ActorCell

TIMERS_PER_ACTOR = 10_000
REPLIES_BEFORE_PRUNING = 64


class Incarnation:
    """`current` is the message in hand, `current_since` when it was taken (monotonic seconds). `begun_at`
    is when a thread began to run it: a pooled actor may wait for that behind thousands of others.
    """

    __slots__ = (
        "_anonymous_timers",
        "_exit",
        "_monotonic",
        "_refusals",
        "_replies",
        "_timers",
        "actor",
        "begun_at",
        "cell",
        "current",
        "current_since",
        "given_up",
        "number",
        "receive",
        "stalled_since",
        "stop_asked",
        "thread_id",
    )

    def __init__(self, cell: ActorCell, number: int) -> None:
        self.cell = cell
        self.number = number
        self.begun_at: float | None = None
        self.given_up = False
        self.actor: Actor | None = None
        self.receive: Any = None
        self.current: Envelope | None = None
        self.current_since = 0.0
        self.stalled_since = -1.0
        self.stop_asked = False
        self.thread_id: int | None = None
        self._monotonic = cell.system.runtime.monotonic
        self._refusals: tuple[type[BaseException], ...] = ()
        self._exit: tuple[BaseException | None] | None = None
        self._replies: list[Any] = []
        self._timers: dict[Hashable, Timer] = {}
        self._anonymous_timers: set[Timer] = set()

    @property
    def is_live(self) -> bool:
        """False when it has ended or was given up."""
        return self.cell.life is self

    # ---- the actor's thread

    def begin(self) -> bool:
        """Create the actor and run its `on_start`; False when it has already ended."""
        cell = self.cell
        self.begun_at = self._monotonic()
        self.thread_id = threading.get_ident()
        try:
            actor = cell.spec.factory()
            if not hasattr(actor, "actor_inbox"):
                msg = f"{type(actor).__name__}.__init__ did not call super().__init__()"
                raise TypeError(msg)
            if not self.is_live:
                return False
            actor.context = ActorContext(self)
            actor.actor_inbox.cell = cell
            cell.kind = type(actor).__name__
            self.actor = actor
            self.receive = actor.on_receive
            self._refusals = actor.refusals
            actor.on_start()
        except BaseException as error:
            declared = () if self.actor is None else self.actor.waits_for
            self.crash(error, waiting=isinstance(error, (Waiting, *declared)))
            return False
        if actor.ready_after_start:
            self.declare_ready()
        return self.is_live and not self._exited()

    def handle(self, envelope: Envelope) -> bool:
        """Handle one message; False when the incarnation has ended."""
        cell = self.cell
        if cell.life is not self:
            # Given up between two messages: the successor handles this one.
            cell.hand_over(envelope)
            return False
        if envelope.timer is not None and not self._timer_counts(envelope.timer):
            return True
        message = envelope.message
        self.current_since = self._monotonic()
        self.current = envelope
        try:
            kind = message.__class__
            if kind is Stop:
                self._stop(message)
            elif kind is Crash:
                if message.incarnation == self.number:
                    # Raised here, outside of the handling of `refusals`: an injected crash is never
                    # an answer.
                    try:
                        raise InjectedCrash(message.detail)
                    except InjectedCrash as error:
                        self.crash(error)
                        return False
            elif not isinstance(envelope.reply_to, Reply) or envelope.reply_to.begin():
                reply = self.receive(message)
                if envelope.reply_to is not None:
                    envelope.reply_to.set(reply)
        except BaseException as error:
            if not isinstance(error, self._refusals):
                self.crash(error)
                return False
            cell.refused(envelope, error)
        if cell.life is not self:
            return False
        self.current = None
        cell.handled += 1
        return self._exit is None or not self._exited()

    def crash(self, error: BaseException, *, waiting: bool = False) -> None:
        """End by `error`: settle the message in hand, let the actor clean up, tell the supervisor.

        `waiting`: its start failed because something outside is unavailable.
        """
        trace = "".join(traceback.format_exception(error))
        self.cell.settle_fatal(self, error, trace)
        if self.actor is not None:
            try:
                self.actor.on_failure(type(error), error, error.__traceback__)
            except BaseException as second:
                self.cell.note_error(second)
                self.cell.emit(
                    LifeStep.CRASHED,
                    detail=f"in on_failure: {second!r}",
                    trace=traceback.format_exc(),
                    incarnation=self.number,
                )
        self._end(error, trace, waiting=waiting)

    def _stop(self, message: Stop) -> None:
        if message.incarnation != self.number:
            return
        self.stop_asked = True
        self.cell.now_stopping(self)
        assert self.actor is not None
        if not self.actor.on_stop_request() and self._exit is None:
            self._exit = (None,)

    def _exited(self) -> bool:
        """Whether the actor asked for its end; if so, it has now ended."""
        if self._exit is None:
            return False
        (error,) = self._exit
        assert self.actor is not None
        trace = ""
        try:
            self.actor.on_stop()
        except BaseException as stop_error:
            # The actor ends anyway: on_stop is not run again, but its failure must be visible.
            trace = traceback.format_exc()
            self.cell.note_error(stop_error)
            self.cell.emit(
                LifeStep.CRASHED,
                detail=f"in on_stop: {stop_error!r}",
                trace=trace,
                incarnation=self.number,
            )
        self.current = None
        self._end(error, trace)
        return True

    def _end(self, error: BaseException | None, trace: str, *, waiting: bool = False) -> None:
        self.cell.mailbox.leave()
        if not self.cell.retire(self):
            return
        self.close(error)
        self.cell.ended(self, error, trace, waiting=waiting)

    # ---- calls of the actor, in its own thread

    def must_be_live(self) -> None:
        """Raise ActorStopped in the thread of an incarnation that was given up."""
        if self.cell.life is not self:
            msg = f"incarnation {self.number} of {self.cell.path} is over"
            raise ActorStopped(msg)

    def declare_ready(self) -> None:
        self.cell.now_ready(self)

    def exit(self, error: BaseException | None) -> None:
        if self._exit is None:
            self._exit = (error,)

    def take_reply(self) -> Any:
        envelope = self.current
        if envelope is None or envelope.reply_to is None:
            return None
        reply_to, envelope.reply_to = envelope.reply_to, None
        if len(self._replies) >= REPLIES_BEFORE_PRUNING:
            self._replies = [reply for reply in self._replies if not reply.answered]
        if isinstance(reply_to, Reply):
            self._replies.append(reply_to)
        return reply_to

    # ---- timers

    def schedule(
        self, delay_s: float, message: Any, key: Hashable | None, *, bounded: bool = True
    ) -> Timer:
        """Raises TooManyTimers if `bounded` and `TIMERS_PER_ACTOR` timers are pending."""
        self.must_be_live()
        if key is not None:
            self.cancel_timer(key)
        if bounded and len(self._timers) + len(self._anonymous_timers) >= TIMERS_PER_ACTOR:
            msg = f"{self.cell.path} has {TIMERS_PER_ACTOR} timers already"
            raise TooManyTimers(msg)

        def fire(timer: Timer) -> None:
            if not timer.cancelled and self.cell.life is self:
                self.cell.tell_from_timer(message, timer)

        timer = Timer(self._monotonic() + max(delay_s, 0.0), key, fire)
        if key is None:
            self._anonymous_timers.add(timer)
        else:
            self._timers[key] = timer
        self.cell.system.runtime.add_timer(timer)
        return timer

    def cancel_timer(self, key: Hashable) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancelled = True

    def _timer_counts(self, timer: Timer) -> bool:
        if timer.cancelled:
            return False
        if timer.key is None:
            self._anonymous_timers.discard(timer)
        elif self._timers.get(timer.key) is timer:
            del self._timers[timer.key]
        return True

    # ---- the end, in any thread

    def close(self, error: BaseException | None) -> None:
        """Cancel the timers, and fail the replies that were taken over and not answered."""
        self.thread_id = None
        # Copies: the thread of a given-up incarnation may still change the originals.
        for timer in (*self._timers.copy().values(), *self._anonymous_timers.copy()):
            timer.cancelled = True
        if self.actor is not None:
            self.actor.actor_stopped.set()
        for reply in self._replies:
            unanswered = ActorCrashed(f"{self.cell.path} ended before it gave the answer")
            unanswered.__cause__ = error
            fail_reply(reply, unanswered)
