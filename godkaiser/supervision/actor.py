"""The base of every supervised actor: a Pykka actor that only its supervisor starts and stops."""

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
    """Connects Pykka's own `ActorRef` to our mailbox, which outlives the actor."""

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
            msg = "only its supervisor may stop this actor: send StopChild to the supervisor"
            raise ProxyRefused(msg)
        self.cell.deliver(item.message, item.reply_to)

    def get(self) -> Any:
        msg = "the runtime reads the mailbox, not Pykka's loop"
        raise NotImplementedError(msg)

    def empty(self) -> bool:
        return self.cell is None or len(self.cell.mailbox) == 0


class Actor(pykka.Actor):
    """One incarnation of an actor.

    Override `on_start` (load state), `on_receive` (one message; the return value is the reply to an
    ask) and `on_stop` (clean up). All run in the actor's own thread, one at a time. An exception
    from `on_start` or `on_receive` ends the incarnation: `on_failure` is called instead of
    `on_stop`, and the supervisor decides what happens next.

    Exceptions of the types in `refusals` are answers, not faults: the asker gets them, and the
    actor continues. If the message was told instead of asked, it becomes a dead letter.

    Exceptions of the types in `waits_for` from `on_start` mean that something outside is
    unavailable: the actor waits and its start is tried again (`Waiting` always means that).

    With `ready_after_start` False the actor itself declares when it is ready
    (`context.declare_ready`); actors that start after it wait for that.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = ()
    waits_for: ClassVar[tuple[type[Exception], ...]] = ()
    ready_after_start: ClassVar[bool] = True

    actor_inbox: _PykkaInbox

    def __init__(self) -> None:
        super().__init__()
        self.context: ActorContext

    def on_receive(self, message: Any) -> Any:
        """Handle one message. The default makes it a dead letter."""
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
    """The runtime's functions for one actor. Use it only in the actor's thread.

    In the thread of an incarnation that was given up as stuck, every call that would change the
    actor's state in the system (publish, schedule, join) raises `ActorStopped`.
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
        """The boot to which `monotonic` belongs: with another boot id, stored values of it are
        meaningless.
        """
        return self._cell.system.runtime.boot_id()

    def random(self) -> float:
        """In [0, 1), from the runtime's seeded source (so that a simulation replays jitter)."""
        return self._cell.system.runtime.random()

    def handle(self, path: str) -> Handle:
        """The handle of another actor; it stays valid across restarts.

        Raises:
            UnknownPath: no actor has this path, or its subtree is private.
        """
        return self._cell.system.handle_for(self._cell, path)

    def adopt(self, supervisor: str, spec: ChildSpec) -> Handle:
        """Start a dynamic child without waiting for it; an existing child of that name is kept.

        The handle can be used at once: messages to it wait in the child's mailbox until the child
        has started. Use this instead of asking the supervisor `StartChild` when the caller must not
        wait:

            actuator = self.context.adopt(paths.ACTUATORS, spec)
            actuator.tell(ApplyCommand(...))

        After `handle(supervisor).tell(StopChild(name))` from the same actor, it starts the child
        again with `spec`. It reports nothing about the start: the supervisor retries a start that
        fails.

        Raises:
            UnknownPath: no actor has the path `supervisor`, or its subtree is private.
            ActorStopped: the supervisor has ended for good.
        """
        self._life.must_be_live()
        return self._cell.system.adopt(self._cell, supervisor, spec)

    def find(self, path: str) -> Handle | None:
        return self._cell.system.find(path)

    def schedule(self, delay_s: float, message: Any, key: Hashable | None = None) -> Timer:
        """Send `message` to the actor itself after `delay_s`. A timer with the same `key` is
        replaced.

        Timers end with the incarnation; the message of a cancelled timer is never handled.
        """
        return self._life.schedule(delay_s, message, key)

    def cancel(self, key: Hashable) -> None:
        self._life.cancel_timer(key)

    def pause(self, seconds: float) -> None:
        """Sleep, so that other threads can run; messages wait meanwhile. Keep it short."""
        self._cell.system.runtime.pause(seconds)

    def publish(self, key: Hashable, value: Any) -> None:
        """Make `value` readable for everybody without a message (the value must be frozen)."""
        self._life.must_be_live()
        self._cell.published[key] = value
        for listener in self._cell.system.publication_listeners:
            listener(self._cell.path, key, value)

    def recall(self, key: Hashable) -> Any:
        """The value that this actor last published under `key`, even before a crash; None if there
        is none.
        """
        return self._cell.published.get(key)

    def recall_all(self) -> dict[Hashable, Any]:
        """Everything that this actor has published, even before a crash."""
        return self._cell.published.copy()

    def look(self, path: str, key: Hashable) -> Any:
        """The value that another actor published under `key`; None if there is none."""
        return self._cell.system.published_value(path, key)

    def children(self, path: str) -> list[str]:
        """The paths of the actors under a supervisor."""
        return self._cell.system.children(path)

    def backlog(self) -> int:
        """The number of messages that wait in the mailbox."""
        return len(self._cell.mailbox)

    def withdraw(self, key: Hashable) -> None:
        self._life.must_be_live()
        self._cell.published.pop(key, None)

    def join(self, group: Hashable) -> None:
        """Become a member of a process group, until the actor leaves it or ends for good."""
        self._life.must_be_live()
        self._cell.system.groups.join(group, self._cell.handle)

    def leave(self, group: Hashable) -> None:
        self._cell.system.groups.leave(group, self._cell.handle)

    def members(self, group: Hashable) -> tuple[Handle, ...]:
        """The members of the group, read without a lock."""
        return self._cell.system.groups.members(group)

    def watch(self, path: str) -> None:
        """Receive `Down` each time that an incarnation at `path` ends. Survives restarts of both
        actors.

        Raises:
            UnknownPath: no actor has this path.
        """
        self._cell.system.watch(path, self._cell)

    def unhandled(self, message: Any, detail: str = "") -> None:
        """Make a message that this actor does not know a dead letter."""
        self._cell.set_aside_unhandled(message, detail)

    def reject(self, message: Any, detail: str, *, kind: str) -> None:
        """Make a message with invalid content a dead letter; `detail` says what is wrong with it.

        `kind` is one of a few words; rejections are counted by it.
        """
        self._cell.set_aside_rejected(message, detail, kind)

    def declare_ready(self) -> None:
        self._life.declare_ready()

    def take_reply(self) -> pykka.Future[Any] | None:
        """Take over the reply to the message in hand: the actor will `set` it later itself.

        When the incarnation ends before that, the asker gets the error at once.
        """
        reply: pykka.Future[Any] | None = self._life.take_reply()
        return reply

    def exit(self, error: BaseException | None = None) -> None:
        """End this incarnation after the message in hand: normally, or as a crash with `error`."""
        self._life.exit(error)
