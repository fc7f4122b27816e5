"""The lasting identity of an actor: path, mailbox, statistics and published values.

A cell is there from the moment that a supervisor adopts the child until the child ends for good;
incarnations of the actor come and go inside it. `live` is the number of the incarnation that may
act, 0 between two of them. A thread that comes back from a message to find another number there was
given up as stuck, and ends without touching anything.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Hashable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from godkaiser.supervision.actor import Actor, ActorContext
from godkaiser.supervision.asking import ask_cell
from godkaiser.supervision.dead_letters import Reason
from godkaiser.supervision.errors import (
    ActorCrashed,
    ActorStopped,
    InjectedCrash,
    MailboxFull,
    SupervisionError,
)
from godkaiser.supervision.events import LifeEvent, Step
from godkaiser.supervision.handle import Handle
from godkaiser.supervision.mailbox import Envelope
from godkaiser.supervision.system_messages import ChildExited, ChildReady, Crash, Down, Stop
from godkaiser.supervision.timers import Timer

if TYPE_CHECKING:
    from godkaiser.supervision.spec import ChildSpec
    from godkaiser.supervision.system import ActorSystem

TIMERS_PER_ACTOR = 10_000


class ActorState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DOWN = "down"
    STOPPED = "stopped"


class Cell:
    __slots__ = (
        "__weakref__",
        "_anonymous_timers",
        "_exit",
        "_life",
        "_monotonic",
        "_timers",
        "actor",
        "current",
        "current_since",
        "handle",
        "handled",
        "incarnation",
        "kind",
        "last_error",
        "last_error_at",
        "live",
        "mailbox",
        "name",
        "parent",
        "path",
        "private_root",
        "published",
        "restarts",
        "spec",
        "started_at",
        "state",
        "system",
        "thread_id",
        "watchers",
    )

    def __init__(
        self, system: ActorSystem, path: str, spec: ChildSpec, parent: Cell | None
    ) -> None:
        self.system = system
        self.path = path
        self.name = spec.name
        self.spec = spec
        self.parent = parent
        self.private_root: Cell | None = None
        if spec.private:
            self.private_root = self
        elif parent is not None:
            self.private_root = parent.private_root
        self.mailbox = system.runtime.new_mailbox(spec.mailbox, self)
        self.handle = Handle(self)
        self.state = ActorState.DOWN
        self.kind = ""
        self.actor: Actor | None = None
        self.incarnation = 0
        self.live = 0
        self.restarts = 0
        self.handled = 0
        self.started_at: float | None = None
        self.last_error = ""
        self.last_error_at: float | None = None
        self.current: Envelope | None = None
        self.current_since = 0.0
        self.thread_id: int | None = None
        self.published: dict[Hashable, Any] = {}
        self.watchers: tuple[Handle, ...] = ()
        self._monotonic = system.runtime.monotonic
        self._life = threading.Lock()
        self._exit: tuple[BaseException | None] | None = None
        self._timers: dict[Hashable, Timer] = {}
        self._anonymous_timers: set[Timer] = set()

    @property
    def ended(self) -> bool:
        return self.state is ActorState.STOPPED

    # ---- sending, from any thread

    def tell(self, message: Any) -> None:
        try:
            displaced = self.mailbox.post(Envelope(message, None, self._monotonic()))
        except SupervisionError as error:
            self._undeliverable(message, error)
        else:
            if displaced is not None and displaced.reply_to is not None:
                self._fail_reply(displaced, MailboxFull(f"superseded at {self.path}"))

    def tell_urgent(self, message: Any) -> None:
        try:
            self.mailbox.post_urgent(Envelope(message, None, self._monotonic()))
        except SupervisionError as error:
            self._undeliverable(message, error)

    def tell_system(self, message: Any) -> None:
        """For the runtime itself: urgent, without a bound, and pointless to a stopped actor."""
        try:
            self.mailbox.post_urgent(Envelope(message, None, self._monotonic()), bounded=False)
        except ActorStopped:
            return

    def offer(self, message: Any) -> bool:
        try:
            self.mailbox.post(Envelope(message, None, self._monotonic()))
        except SupervisionError:
            return False
        return True

    def deliver(self, message: Any, reply_to: Any) -> None:
        """Post with a future to be answered; the errors of delivery are raised."""
        self.mailbox.post(Envelope(message, reply_to, self._monotonic()))

    def deliver_urgent(self, message: Any, reply_to: Any) -> None:
        self.mailbox.post_urgent(Envelope(message, reply_to, self._monotonic()))

    def ask(self, message: Any, *, timeout_s: float, urgent: bool) -> Any:
        return ask_cell(self, message, timeout_s=timeout_s, urgent=urgent)

    # ---- one incarnation, in its own thread

    def begin(self, incarnation: int) -> Actor | None:
        """Make the actor and run its `on_start`; None when that failed or was given up."""
        try:
            actor = self.spec.factory()
            if not hasattr(actor, "actor_inbox"):
                msg = f"{type(actor).__name__}.__init__ did not call super().__init__()"
                raise TypeError(msg)
            actor.context = ActorContext(self, incarnation)
            actor.actor_inbox.cell = self
            self.kind = type(actor).__name__
            self.actor = actor
            actor.on_start()
        except BaseException as error:
            self._ended(incarnation, error, traceback.format_exc())
            return None
        if actor.ready_after_start:
            self.declare_ready(incarnation)
        return actor if self.live == incarnation else None

    def declare_ready(self, incarnation: int) -> None:
        if self.live != incarnation or self.state is not ActorState.STARTING:
            return
        self.state = ActorState.RUNNING
        self.emit(Step.READY)
        self._tell_parent(ChildReady(self.name, incarnation))

    def handle_envelope(self, actor: Actor, incarnation: int, envelope: Envelope) -> bool:
        """Handle one message; False when the incarnation has ended."""
        message = envelope.message
        timer = envelope.timer
        if timer is not None and not self._timer_still_counts(timer, incarnation):
            return self.live == incarnation
        self.current_since = self._monotonic()
        self.current = envelope
        try:
            kind = message.__class__
            if kind is Stop:
                if not self._stop_requested(actor, incarnation):
                    return False
            elif kind is Crash:
                raise InjectedCrash(message.detail)
            else:
                reply = actor.on_receive(message)
                if envelope.reply_to is not None:
                    envelope.reply_to.set(reply)
        except BaseException as error:
            if isinstance(error, actor.refusals):
                self._refused(envelope, error)
            else:
                self._crashed(actor, incarnation, envelope, error)
                return False
        self.current = None
        self.handled += 1
        if self._exit is not None:
            (error_or_none,) = self._exit
            self._finish(actor, incarnation, error_or_none)
            return False
        return self.live == incarnation

    def take_reply(self) -> Any:
        envelope = self.current
        if envelope is None:
            return None
        reply_to, envelope.reply_to = envelope.reply_to, None
        return reply_to

    def request_exit(self, incarnation: int, error: BaseException | None) -> None:
        if self.live == incarnation:
            self._exit = (error,)

    def _stop_requested(self, actor: Actor, incarnation: int) -> bool:
        self.state = ActorState.STOPPING
        if actor.on_stop_request():
            return True
        self._finish(actor, incarnation, None)
        return False

    def _finish(self, actor: Actor, incarnation: int, error: BaseException | None) -> None:
        trace = ""
        try:
            actor.on_stop()
        except BaseException as stop_error:
            # The end goes on: on_stop has no second chance, but its failure must be seen.
            trace = traceback.format_exc()
            self._note_error(stop_error)
            self.emit(Step.CRASHED, detail=f"in on_stop: {stop_error!r}", trace=trace)
        self.current = None
        self._ended(incarnation, error, trace)

    def _crashed(
        self, actor: Actor, incarnation: int, envelope: Envelope, error: BaseException
    ) -> None:
        trace = "".join(traceback.format_exception(error))
        with self._life:
            still_live = self.live == incarnation
        if still_live:
            self._dispose_of_fatal(envelope, error, trace)
        try:
            actor.on_failure(type(error), error, error.__traceback__)
        except BaseException as second:
            self.emit(Step.CRASHED, detail=f"in on_failure: {second!r}")
        self.current = None
        self._ended(incarnation, error, trace)

    def _dispose_of_fatal(self, envelope: Envelope, error: BaseException, trace: str) -> None:
        """The message in hand at a crash: answered, tried again within its budget, or set aside."""
        if isinstance(envelope.message, Crash):
            return
        if envelope.reply_to is not None:
            crash = ActorCrashed(f"{self.path} crashed: {error!r}")
            crash.__cause__ = error
            self._fail_reply(envelope, crash)
        elif envelope.attempts < self.spec.retry_budget:
            envelope.attempts += 1
            self.mailbox.put_back(envelope)
            return
        self._bury(envelope.message, Reason.CRASHED, repr(error), trace)

    def _refused(self, envelope: Envelope, error: BaseException) -> None:
        if envelope.reply_to is not None:
            self._fail_reply(envelope, error)
        else:
            self._bury(envelope.message, Reason.REFUSED, str(error))

    # ---- life and death

    def prepare_incarnation(self) -> int:
        """The supervisor is about to start the next incarnation."""
        with self._life:
            self.incarnation += 1
            self.live = self.incarnation
        self._exit = None
        self.state = ActorState.STARTING
        self.started_at = self.system.runtime.now()
        if self.incarnation > 1:
            self.restarts += 1
        self.emit(Step.STARTED if self.incarnation == 1 else Step.RESTARTED)
        return self.incarnation

    def abandon(self, incarnation: int) -> bool:
        """Give an incarnation up whose thread does not come back; False when it just ended."""
        with self._life:
            if self.live != incarnation:
                return False
            self.live = 0
        self._forget_timers()
        self.state = ActorState.DOWN
        envelope = self.current
        self.current = None
        if envelope is not None and envelope.reply_to is not None:
            self._fail_reply(envelope, ActorCrashed(f"{self.path} is stuck and was given up"))
        return True

    def end_for_good(self) -> None:
        """No successor will come: answer or set aside what waits, and leave the system."""
        for envelope in self.mailbox.close():
            if envelope.reply_to is not None:
                self._fail_reply(envelope, ActorStopped(f"{self.path} has stopped"))
            elif not envelope.message.__class__.__module__.startswith(__package__):
                self._bury(envelope.message, Reason.STOPPED, "it waited when the actor stopped")
        self.state = ActorState.STOPPED
        self.system.forget(self)

    def _ended(self, incarnation: int, error: BaseException | None, trace: str) -> None:
        with self._life:
            if self.live != incarnation:
                return
            self.live = 0
        self.actor = None
        self.thread_id = None
        self._forget_timers()
        self.state = ActorState.DOWN
        if error is None:
            self.emit(Step.STOPPED, incarnation=incarnation)
        else:
            self._note_error(error)
            self.emit(Step.CRASHED, detail=repr(error), trace=trace, incarnation=incarnation)
        for watcher in self.watchers:
            watcher.tell(Down(self.path, incarnation, error))
        self.system.incarnation_ended(self, incarnation, error)
        self._tell_parent(ChildExited(self.name, incarnation, error))

    def _note_error(self, error: BaseException) -> None:
        self.last_error = repr(error)
        self.last_error_at = self.system.runtime.now()

    def _tell_parent(self, message: Any) -> None:
        if self.parent is not None:
            self.parent.tell_system(message)

    def emit(
        self,
        step: Step,
        *,
        detail: str = "",
        trace: str = "",
        delay_s: float = 0.0,
        incarnation: int | None = None,
    ) -> None:
        self.system.events.emit(
            LifeEvent(
                at=self.system.runtime.now(),
                path=self.path,
                step=step,
                incarnation=self.incarnation if incarnation is None else incarnation,
                detail=detail,
                traceback=trace,
                delay_s=delay_s,
            )
        )

    # ---- timers, in the actor's own thread

    def schedule(
        self, incarnation: int, delay_s: float, message: Any, key: Hashable | None
    ) -> Timer:
        def fire(timer: Timer) -> None:
            if timer.cancelled or self.live != timer.incarnation:
                return
            try:
                self.mailbox.post_beyond_bound(Envelope(message, None, self._monotonic(), 0, timer))
            except ActorStopped:
                return

        timer = Timer(self._monotonic() + max(delay_s, 0.0), incarnation, key, fire)
        if key is None:
            self._anonymous_timers.add(timer)
        else:
            self.cancel_timer(key)
            self._timers[key] = timer
        if len(self._timers) + len(self._anonymous_timers) > TIMERS_PER_ACTOR:
            msg = f"{self.path} has more than {TIMERS_PER_ACTOR} timers"
            raise MailboxFull(msg)
        self.system.runtime.add_timer(timer)
        return timer

    def cancel_timer(self, key: Hashable) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancelled = True

    def _timer_still_counts(self, timer: Timer, incarnation: int) -> bool:
        if timer.cancelled or timer.incarnation != incarnation:
            return False
        if timer.key is None:
            self._anonymous_timers.discard(timer)
        elif self._timers.get(timer.key) is timer:
            del self._timers[timer.key]
        return True

    def _forget_timers(self) -> None:
        for timer in (*self._timers.values(), *self._anonymous_timers):
            timer.cancelled = True
        self._timers = {}
        self._anonymous_timers = set()

    # ---- messages that end here

    def set_aside_unhandled(self, message: Any, detail: str) -> None:
        self._bury(message, Reason.UNHANDLED, detail or f"{self.kind} does not know this message")

    def set_aside_rejected(self, message: Any, detail: str) -> None:
        self._bury(message, Reason.REJECTED, detail)

    def _undeliverable(self, message: Any, error: SupervisionError) -> None:
        reason = Reason.STOPPED if isinstance(error, ActorStopped) else Reason.OVERFLOW
        self._bury(message, reason, str(error))

    def _bury(self, message: Any, reason: Reason, detail: str, trace: str = "") -> None:
        self.system.dead_letters.add(
            at=self.system.runtime.now(),
            path=self.path,
            reason=reason,
            message=message,
            detail=detail,
            traceback=trace,
        )

    @staticmethod
    def _fail_reply(envelope: Envelope, error: BaseException) -> None:
        envelope.reply_to.set_exception((type(error), error, error.__traceback__))
