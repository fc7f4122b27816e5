"""The address of an actor, valid across its restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from godkaiser.supervision.cell import ActorCell


class Handle:
    """Sends messages to the current incarnation at a path. Safe from any thread."""

    __slots__ = ("_cell", "tell")

    def __init__(self, cell: ActorCell) -> None:
        self._cell = cell
        self.tell = cell.tell
        """tell(message): put the message into the mailbox.

        If the actor has ended for good, or a full mailbox refuses the message, it goes to the dead
        letters: the sender must not crash because of it. Under `Overflow.BLOCK` tell waits for
        space.
        """

    @property
    def path(self) -> str:
        return self._cell.path

    @property
    def alive(self) -> bool:
        """False once the actor has ended for good; a new actor at the path has a new handle."""
        return not self._cell.over

    def tell_urgent(self, message: Any) -> None:
        """Like tell, but overtakes all ordinary messages if the receiver's `MailboxSpec.urgent`
        names this type; otherwise exactly like tell.
        """
        self._cell.tell_urgent(message)

    def offer(self, message: Any) -> bool:
        """Like tell, but False instead of a dead letter when the mailbox is full or closed."""
        return self._cell.offer(message)

    def ask(
        self, message: Any, *, timeout_s: float, urgent: bool = False, or_not_at_all: bool = False
    ) -> Any:
        """Send and wait for the reply.

        With `or_not_at_all` a message that the actor has not begun in time is withdrawn; if it has
        begun, this waits for some seconds more.

        Raises:
            AskInDoubt: with `or_not_at_all`: the actor has begun and did not finish even then.
            AskTimeout: no reply in time; with `or_not_at_all` nothing was done, and nothing will be
            done. MailboxFull, ActorStopped, ActorWaiting: the message was not delivered.
            ActorCrashed: the actor crashed while it handled the message.
            AskCycle: the actor waits, directly or through others, for the asker.
            Exception: a refusal of the actor (one of its declared `refusals`).
        """
        return self._cell.ask(
            message, timeout_s=timeout_s, urgent=urgent, or_not_at_all=or_not_at_all
        )

    def __repr__(self) -> str:
        return f"<Handle {self._cell.path}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other._cell is self._cell

    def __hash__(self) -> int:
        return hash(self._cell.path)
