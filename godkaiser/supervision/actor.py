"""The base of every supervised actor, a Pykka actor whose life belongs to a supervisor."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar

import pykka

from godkaiser.supervision.errors import ProxyRefused
from godkaiser.supervision.reply import Reply

if TYPE_CHECKING:
    from godkaiser.supervision.cell import ActorCell
    from godkaiser.supervision.handle import Handle
    from godkaiser.supervision.incarnation import Incarnation
    from godkaiser.supervision.runtimes.timers import Timer
    from godkaiser.supervision.spec import ChildSpec


class _PykkaInbox:
    """The door through which Pykka's own `ActorRef` reaches the mailbox that outlives the actor."""

    def __init__(self) -> None:
        self.cell: ActorCell | None = None

    def put(self, item: Any) -> None:
        if isinstance(
            item.message,
            pykka.messages.ProxyCall | pykka.messages.ProxyGetAttr | pykka.messages.ProxySetAttr,
        ):
            msg = "supervised actors are not used through Pykka proxies: tell or ask a message"
            raise ProxyRefused(msg)
        if self.cell is None:
            raise pykka.ActorDeadError
        if isinstance(item.message, pykka.messages._ActorStop):
            msg = "an actor's life belongs to its supervisor: ask that to stop it"
            raise ProxyRefused(msg)
        self.cell.deliver(item.message, item.reply_to)

    def get(self) -> Any:
        msg = "the runtime reads the mailbox, not Pykka's loop"
        raise NotImplementedError(msg)

    def empty(self) -> bool:
        return self.cell is None or len(self.cell.mailbox) == 0


class Actor(pykka.Actor):
    """One incarnation of an actor.

    Override `on_start` (load state), `on_receive` (one message; what it returns is the reply to an
    ask) and `on_stop` (tidy up). All run in the actor's own thread, one at a time. An exception out
    of `on_start` or `on_receive` ends the incarnation: `on_failure` is called instead of `on_stop`, and
    the supervisor decides what follows.

    Exceptions of the types in `refusals` are answers, not faults: they go to the asker, and the
    actor lives on. Told rather than asked, such a message becomes a dead letter.

    Exceptions of the types in `waits_for` out of `on_start` mean that something outside is away: the
    actor waits and is tried again (`Waiting` always means that).

    With `ready_after_start` False the actor says itself when it is ready (`context.declare_ready`),
    and who is to start after it waits for that.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    waits_for: ClassVar[tuple[type[Exception], ...]] = ()
    ready_after_start: ClassVar[bool] = True

    actor_inbox: _PykkaInbox

    def __init__(self) -> None:
        super().__init__()
        self.context: ActorContext

    def on_receive(self, message: Any) -> Any:
        """Handle one message. The default refuses it as a dead letter."""
        return self.context.unhandled(message)

    def on_stop_request(self) -> bool:
        """Return True to keep running and call `context.exit()` later (supervisors do)."""
        return False

    @staticmethod
    def _create_actor_inbox() -> Any:
        return _PykkaInbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return Reply()

    def _start_actor_loop(self) -> None:
        msg = "start a supervised actor through a supervisor, not with Actor.start()"
        raise TypeError(msg)


class ActorContext:
    """What an actor may do with its own place in the system. Use it only in the actor's thread.

    In the thread of an incarnation that was given up as stuck, whatever would change the actor's
    place (publish, schedule, join) raises `ActorStopped`.
    """

    def __init__(self, life: Incarnation) -> None:
        self._life = life
        self._cell = life.cell

    @property
    def path(self) -> str:
        return self._cell.path

    @property
    def incarnation(self) -> int:
        """1 for the first, counting up with each restart."""
        return self._life.number

    @property
    def own(self) -> Handle:
        """The actor's own handle, to give to others or to send itself a message."""
        return self._cell.handle

    def now(self) -> float:
        """Wall clock, unix seconds."""
        return self._cell.system.runtime.now()

    def monotonic(self) -> float:
        """A clock that never jumps, seconds since the machine was started."""
        return self._cell.system.runtime.monotonic()

    def boot_id(self) -> str:
        """What `monotonic` belongs to: after a restart with another one, its older values mean nothing."""
        return self._cell.system.runtime.boot_id()

    def random(self) -> float:
        """In [0, 1), from the runtime's seeded source (jitter that a simulation replays)."""
        return self._cell.system.runtime.random()

    def handle(self, path: str) -> Handle:
        """The lasting handle of another actor.

        Raises:
            UnknownPath: nobody lives there, or the subtree is private.
        """
        return self._cell.system.handle_for(self._cell, path)

    def adopt(self, supervisor: str, spec: ChildSpec) -> Handle:
        """Have a dynamic child started, without waiting for it; a child of that name is kept.

        The handle can be used at once: what it is told waits in the child's mailbox until the child
        has started. This replaces asking the supervisor `StartChild` where the asker must not wait:

            actuator = self.context.adopt(paths.ACTUATORS, spec)
            actuator.tell(ApplyCommand(...))

        After `handle(supervisor).tell(StopChild(name))` of the same actor, it starts the child anew by
        `spec`. It is no news of the start: a start that fails is the supervisor's to try again.

        Raises:
            UnknownPath: nobody lives at `supervisor`, or the subtree is private.
            ActorStopped: the supervisor has ended for good.
        """
        self._life.must_be_live()
        return self._cell.system.adopt(self._cell, supervisor, spec)

    def find(self, path: str) -> Handle | None:
        return self._cell.system.find(path)

    def schedule(self, delay_s: float, message: Any, key: Hashable | None = None) -> Timer:
        """Send `message` to oneself after `delay_s`. A timer with the same `key` is replaced.

        Timers end with the incarnation; a message of a cancelled timer is never handled.
        """
        return self._life.schedule(delay_s, message, key)

    def cancel(self, key: Hashable) -> None:
        self._life.cancel_timer(key)

    def pause(self, seconds: float) -> None:
        """Let others have the processor for a moment; messages wait meanwhile. Keep it short."""
        self._cell.system.runtime.pause(seconds)

    def publish(self, key: Hashable, value: Any) -> None:
        """Let everybody read `value` without asking (the value must be frozen)."""
        self._life.must_be_live()
        self._cell.published[key] = value
        for listener in self._cell.system.publication_listeners:
            listener(self._cell.path, key, value)

    def recall(self, key: Hashable) -> Any:
        """What this actor published last under `key`, also before a crash; None if nothing."""
        return self._cell.published.get(key)

    def recall_all(self) -> dict[Hashable, Any]:
        """Everything that this actor has published, also before a crash."""
        return self._cell.published.copy()

    def look(self, path: str, key: Hashable) -> Any:
        """What another actor published under `key`; None when there is nothing."""
        return self._cell.system.published_value(path, key)

    def children(self, path: str) -> list[str]:
        """The paths of the actors under a supervisor."""
        return self._cell.system.children(path)

    def backlog(self) -> int:
        """How many messages wait behind the one in hand."""
        return len(self._cell.mailbox)

    def withdraw(self, key: Hashable) -> None:
        self._life.must_be_live()
        self._cell.published.pop(key, None)

    def join(self, group: Hashable) -> None:
        """Become a member of a process group, until one leaves it or ends for good."""
        self._life.must_be_live()
        self._cell.system.groups.join(group, self._cell.handle)

    def leave(self, group: Hashable) -> None:
        self._cell.system.groups.leave(group, self._cell.handle)

    def members(self, group: Hashable) -> tuple[Handle, ...]:
        """Who is in the group: read without a lock."""
        return self._cell.system.groups.members(group)

    def watch(self, path: str) -> None:
        """Be told `Down` each time that the incarnation at `path` ends. Survives restarts of both.

        Raises:
            UnknownPath: nobody lives there.
        """
        self._cell.system.watch(path, self._cell)

    def unhandled(self, message: Any, detail: str = "") -> None:
        """Set a message aside that this actor has no use for."""
        self._cell.set_aside_unhandled(message, detail)

    def reject(self, message: Any, detail: str, *, kind: str) -> None:
        """Set a message aside whose content is bad, with what is wrong with it.

        `kind` is one of few words to count by.
        """
        self._cell.set_aside_rejected(message, detail, kind)

    def declare_ready(self) -> None:
        self._life.declare_ready()

    def take_reply(self) -> pykka.Future[Any] | None:
        """Take over the reply to the message in hand: the actor will `set` it later itself.

        When the incarnation ends before that, who asked gets the error at once.
        """
        reply: pykka.Future[Any] | None = self._life.take_reply()
        return reply

    def exit(self, error: BaseException | None = None) -> None:
        """End this incarnation after the message in hand: normally, or as crashed by `error`."""
        self._life.exit(error)
