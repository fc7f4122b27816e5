"""The identity of an actor across restarts: path, mailbox, statistics and published values.

A cell exists from the moment at which a supervisor adopts the child until the child is forgotten
for good; incarnations of the actor come and go inside it. `life` is the incarnation that may act,
None between two of them. It changes only under `_gate`, so that when an incarnation ends and is
given up at the same instant, only one of the two settles the message in hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from godkaiser.supervision.asking import ask_cell
from godkaiser.supervision.dead_letters import Reason
from godkaiser.supervision.errors import (
    ActorCrashed,
    ActorStopped,
    MailboxFull,
    SupervisionError,
)
from godkaiser.supervision.events import LifeEvent, LifeStep
from godkaiser.supervision.handle import Handle
from godkaiser.supervision.incarnation import Incarnation
from godkaiser.supervision.mailbox import Envelope
from godkaiser.supervision.reply import fail_reply
from godkaiser.supervision.runtimes.timers import Timer
from godkaiser.supervision.system_messages import (
    ChildExited,
    ChildReady,
    Crash,
    Down,
    Stop,
    SystemMessage,
)

if TYPE_CHECKING:
    from godkaiser.supervision.spec import ChildSpec
    from godkaiser.supervision.system import ActorSystem


class ActorState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"
    DOWN = "down"
    STOPPED = "stopped"


class ActorCell:
    """`completed`: the last incarnation ended normally, unasked. `wanted`: its supervisor has not
    been told to stop it for good (this survives a crash of the supervisor). `adoptions`: the number
    of `AdoptChild` messages on their way to its supervisor; until they arrive, the cell is not
    forgotten.
    `stuck`: threads of incarnations that were given up and have not returned.
    """

    __slots__ = (
        "__weakref__",
        "_gate",
        "_monotonic",
        "_orphaned",
        "adoptions",
        "completed",
        "handle",
        "handled",
        "incarnation",
        "kind",
        "last_error",
        "last_error_at",
        "life",
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
        "stuck",
        "system",
        "waiting_for",
        "wanted",
        "watchers",
    )

    def __init__(
        self, system: ActorSystem, path: str, spec: ChildSpec, parent: ActorCell | None
    ) -> None:
        self.system = system
        self.path = path
        self.name = spec.name
        self.spec = spec
        self.parent = parent
        self.private_root: ActorCell | None = None
        if spec.private:
            self.private_root = self
        elif parent is not None:
            self.private_root = parent.private_root
        self.mailbox = system.runtime.new_mailbox(spec.mailbox)
        self.handle = Handle(self)
        self.state = ActorState.DOWN
        self.kind = ""
        self.life: Incarnation | None = None
        self.incarnation = 0
        self.completed = False
        self.wanted = True
        self.adoptions = 0
        self.stuck = 0
        self.restarts = 0
        self.handled = 0
        self.started_at: float | None = None
        self.waiting_for = ""
        self.last_error = ""
        self.last_error_at: float | None = None
        self.published: dict[Hashable, Any] = {}
        self.watchers: tuple[ActorCell, ...] = ()
        self._monotonic = system.runtime.monotonic
        self._gate = threading.Lock()
        self._orphaned = False

    @property
    def over(self) -> bool:
        """The actor has ended for good."""
        return self.state is ActorState.STOPPED

    # ---- sending, from any thread

    def tell(self, message: Any) -> None:
        try:
            displaced = self.mailbox.post(Envelope(message, None, self._monotonic()))
        except SupervisionError as error:
            self._undeliverable(message, error)
        else:
            if displaced is not None:
                self._superseded(displaced)

    def tell_urgent(self, message: Any) -> None:
        if not self.spec.mailbox.may_overtake(message):
            self.tell(message)
            return
        try:
            self.mailbox.post_urgent(Envelope(message, None, self._monotonic()))
        except SupervisionError as error:
            self._undeliverable(message, error)

    def tell_system(self, message: SystemMessage) -> None:
        """For the runtime itself: urgent, without a bound, and dropped when the actor has stopped."""
        try:
            self.mailbox.post_urgent(Envelope(message, None, self._monotonic()), bounded=False)
        except ActorStopped:
            return

    def tell_adoption(self, message: SystemMessage) -> None:
        """In order with the earlier messages of the adopting actor, whatever the depth: at most one
        waits for each adoption. Raises ActorStopped.
        """
        self.mailbox.post_beyond_bound(Envelope(message, None, self._monotonic()))

    def tell_from_timer(self, message: Any, timer: Timer) -> None:
        try:
            self.mailbox.post_beyond_bound(Envelope(message, None, self._monotonic(), 0, timer))
        except ActorStopped:
            return

    def tell_down(self, down: Down) -> None:
        """In order with the earlier messages of the ended actor; never blocks the ending thread."""
        try:
            self.mailbox.post_beyond_bound(Envelope(down, None, self._monotonic()))
        except ActorStopped:
            return

    def offer(self, message: Any) -> bool:
        try:
            displaced = self.mailbox.post(Envelope(message, None, self._monotonic()))
        except SupervisionError:
            return False
        if displaced is not None:
            self._superseded(displaced)
        return True

    def deliver(self, message: Any, reply_to: Any, *, patience_s: float | None = None) -> None:
        """Post with a future for the reply; raises when the message cannot be delivered."""
        envelope = Envelope(message, reply_to, self._monotonic())
        displaced = self.mailbox.post(envelope, patience_s)
        if displaced is not None:
            self._superseded(displaced)

    def deliver_urgent(self, message: Any, reply_to: Any, *, patience_s: float) -> None:
        if not self.spec.mailbox.may_overtake(message):
            self.deliver(message, reply_to, patience_s=patience_s)
            return
        # Each asker waits in its own thread, which bounds their number: no limit is needed here.
        envelope = Envelope(message, reply_to, self._monotonic())
        self.mailbox.post_urgent(envelope, bounded=False)

    def ask(
        self, message: Any, *, timeout_s: float, urgent: bool, or_not_at_all: bool = False
    ) -> Any:
        return ask_cell(
            self, message, timeout_s=timeout_s, urgent=urgent, or_not_at_all=or_not_at_all
        )

    def send_stop(self) -> None:
        """Ask the current incarnation, and no successor, to stop."""
        life = self.life
        if life is not None:
            self.tell_system(Stop(life.number))

    def send_crash(self, detail: str) -> None:
        life = self.life
        if life is not None:
            self.tell_system(Crash(life.number, detail))

    # ---- incarnations; called by the supervisor

    def next_life(self) -> Incarnation:
        """The supervisor is about to start the next incarnation."""
        self.incarnation += 1
        life = Incarnation(self, self.incarnation)
        self.state = ActorState.STARTING
        self.started_at = self.system.runtime.now()
        self.completed = False
        with self._gate:
            self.life = life
        if self.waiting_for:
            return life
        if self.incarnation > 1:
            self.restarts += 1
        self.emit(LifeStep.STARTED if self.incarnation == 1 else LifeStep.RESTARTED)
        return life

    def abandon(self, incarnation: int, why: str) -> bool:
        """Give up an incarnation that does not return; False when it has just ended.

        A thread cannot be killed. This one ends when its blocking call returns. Until then it can
        still act on the outside world, but no longer on this cell. Its children are given up with
        it.
        """
        with self._gate:
            life = self.life
            if life is None or life.number != incarnation:
                return False
            stack = self.system.runtime.stack_of(life)
            self.life = None
            envelope, life.current = life.current, None
            if life.begun_at is not None:
                life.given_up = True
                self.stuck += 1
        self.state = ActorState.DOWN
        self.emit(LifeStep.STUCK, detail=why, trace=stack, incarnation=incarnation)
        error = ActorCrashed(f"{self.path} is stuck and was given up: {why}")
        self.note_error(error)
        self._ails()
        if envelope is not None:
            if envelope.reply_to is not None:
                fail_reply(envelope.reply_to, error)
            if not isinstance(envelope.message, SystemMessage):
                self._bury(envelope.message, Reason.CRASHED, f"stuck: {why}", stack)
        life.close(error)
        self.mailbox.wake()  # Its thread may be idle and must notice that its life is over.
        for child in self.system.children_of(self):
            child.abandon(child.incarnation, f"its supervisor {self.path} was given up")
        self._tell_watchers(incarnation, error)
        self._leave_when_orphaned()
        return True

    def thread_left(self, life: Incarnation) -> None:
        """The thread that ran a life has returned."""
        if life.given_up:
            with self._gate:
                life.given_up = False
                self.stuck -= 1

    def forget(self) -> None:
        """End for good: settle the waiting messages, and remove this cell and all below it."""
        # First, so that no child can be adopted that the next loop would miss.
        self.system.close(self)
        for child in self.system.children_of(self):
            child.orphan()
        for envelope in self.mailbox.close():
            if envelope.reply_to is not None:
                fail_reply(envelope.reply_to, ActorStopped(f"{self.path} has stopped"))
            elif envelope.timer is None and not isinstance(envelope.message, SystemMessage):
                self._bury(envelope.message, Reason.STOPPED, "it waited when the actor stopped")
        self.system.forget(self)

    def orphan(self) -> None:
        """Its supervisor has ended for good: stop within the shutdown timeout, and leave the
        system.
        """
        self._orphaned = True
        life = self.life
        if life is None:
            self.forget()
            return
        limit_s = self.spec.shutdown_timeout_s
        why = f"did not stop within {limit_s} s of its supervisor's end"
        deadline = Timer(
            self._monotonic() + limit_s, None, lambda _: self.abandon(life.number, why)
        )
        self.system.runtime.add_timer(deadline)
        self.send_stop()

    # ---- reports of an incarnation, in its own thread

    def attach(self, life: Incarnation, wake: Callable[[], None]) -> bool:
        """Make this thread the mailbox's reader; False when the life was given up before it began."""
        with self._gate:
            if self.life is not life:
                return False
            self.mailbox.attach(wake)
            return True

    def now_ready(self, life: Incarnation) -> None:
        if self.life is not life or self.state is not ActorState.STARTING:
            return
        self.state = ActorState.RUNNING
        self.waiting_for = ""
        self.system.ailing.pop(self.path, None)
        self.emit(LifeStep.READY, incarnation=life.number)
        self._tell_parent(ChildReady(self.name, life.number))

    def now_stopping(self, life: Incarnation) -> None:
        if self.life is life:
            self.state = ActorState.STOPPING

    def hand_over(self, envelope: Envelope) -> None:
        """Return a message that an ended incarnation took, for the successor."""
        if not isinstance(envelope.message, Stop | Crash):
            self.mailbox.put_back(envelope)
        self.mailbox.wake()

    def refused(self, envelope: Envelope, error: BaseException) -> None:
        if envelope.reply_to is not None:
            fail_reply(envelope.reply_to, error)
        else:
            self._bury(envelope.message, Reason.REFUSED, str(error))

    def settle_fatal(self, life: Incarnation, error: BaseException, trace: str) -> None:
        """The message in hand at a crash: answered, tried again within its budget, or set aside."""
        with self._gate:
            envelope, life.current = life.current, None
            if envelope is None or self.life is not life:
                return
            if (
                envelope.attempts < self.spec.retry_budget
                and envelope.reply_to is None
                and envelope.timer is None
                and not isinstance(envelope.message, Crash)
            ):
                envelope.attempts += 1
                self.mailbox.put_back(envelope)
                return
        if envelope.reply_to is not None:
            crash = ActorCrashed(f"{self.path} crashed: {error!r}")
            crash.__cause__ = error
            fail_reply(envelope.reply_to, crash)
        if not isinstance(envelope.message, Stop):
            self._bury(envelope.message, Reason.CRASHED, repr(error), trace)

    def retire(self, life: Incarnation) -> bool:
        """End this life; False when it was given up before."""
        with self._gate:
            if self.life is not life:
                return False
            self.life = None
            return True

    def ended(
        self, life: Incarnation, error: BaseException | None, trace: str, *, waiting: bool
    ) -> None:
        """Called once for each life that was not given up."""
        self.state = ActorState.WAITING if waiting else ActorState.DOWN
        self.completed = error is None and not life.stop_asked
        if error is None:
            self.emit(LifeStep.STOPPED, incarnation=life.number)
        elif waiting:
            self._waits(life, str(error) or repr(error))
        else:
            self.waiting_for = ""
            self.note_error(error)
            self._ails()
            self.emit(LifeStep.CRASHED, detail=repr(error), trace=trace, incarnation=life.number)
        self._tell_watchers(life.number, error)
        self.system.incarnation_ended(self, error)
        self._tell_parent(ChildExited(self.name, life.number, error, waiting))
        self._leave_when_orphaned()

    def _waits(self, life: Incarnation, reason: str) -> None:
        """Record that the actor waits; one life event for each reason, not for each try."""
        changed, self.waiting_for = reason != self.waiting_for, reason
        self._ails()
        if changed:
            self.emit(LifeStep.WAITING, detail=reason, incarnation=life.number)

    def _ails(self) -> None:
        """Mark the actor as not up: shown until it is ready, or until it is no longer wanted."""
        self.system.ailing[self.path] = self

    def _tell_watchers(self, incarnation: int, error: BaseException | None) -> None:
        for watcher in self.watchers:
            watcher.tell_down(Down(self.path, incarnation, error))

    def _leave_when_orphaned(self) -> None:
        if self._orphaned:
            self.forget()

    def _tell_parent(self, message: SystemMessage) -> None:
        if self.parent is not None:
            self.parent.tell_system(message)

    def note_error(self, error: BaseException) -> None:
        self.last_error = repr(error)
        self.last_error_at = self.system.runtime.now()

    def emit(
        self,
        step: LifeStep,
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

    # ---- messages that nobody handles

    def set_aside_unhandled(self, message: Any, detail: str) -> None:
        self._bury(message, Reason.UNHANDLED, detail or f"{self.kind} does not know this message")

    def set_aside_rejected(self, message: Any, detail: str, kind: str) -> None:
        self._bury(message, Reason.REJECTED, detail, kind=kind)

    def _superseded(self, envelope: Envelope) -> None:
        if envelope.reply_to is not None:
            fail_reply(envelope.reply_to, MailboxFull(f"superseded at {self.path}"))

    def _undeliverable(self, message: Any, error: SupervisionError) -> None:
        reason = Reason.STOPPED if isinstance(error, ActorStopped) else Reason.OVERFLOW
        self._bury(message, reason, str(error))

    def _bury(
        self, message: Any, reason: Reason, detail: str, trace: str = "", kind: str = ""
    ) -> None:
        self.system.dead_letters.add(
            at=self.system.runtime.now(),
            path=self.path,
            reason=reason,
            message=message,
            detail=detail,
            traceback=trace,
            kind=kind,
        )
