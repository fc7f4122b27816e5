"""Child specs: what to start, and what to do when it ends. Data only."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from godkaiser.supervision.actor import Actor


class Restart(StrEnum):
    """When a child that ended is started again (OTP's words)."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Strategy(StrEnum):
    """Which siblings are restarted with a child that crashed (OTP's words)."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Overflow(StrEnum):
    """What happens to the next message when a mailbox is full."""

    BLOCK = "block"
    REFUSE = "refuse"
    KEEP_NEWEST = "keep_newest"


class MailboxSpec(msgspec.Struct, frozen=True):
    """`block_timeout_s` bounds the wait of a sender under `Overflow.BLOCK`.

    `urgent` names the types whose messages may overtake: an urgent message of another type is
    queued as an ordinary one, so that no flood of it can fill the urgent lane. None: every type may
    overtake.

    With `takes_resent` False no dead letter is resent to the actor: its messages are decisions that
    are valid only when they are made. Private subtrees take none either.
    """

    capacity: int = 10_000
    overflow: Overflow = Overflow.REFUSE
    block_timeout_s: float = 30.0
    urgent: tuple[type, ...] | None = None
    takes_resent: bool = True

    def may_overtake(self, message: object) -> bool:
        return self.urgent is None or isinstance(message, self.urgent)


class Intensity(msgspec.Struct, frozen=True):
    """At most `max_restarts` restarts within `within_s` seconds; one more escalates."""

    max_restarts: int = 5
    within_s: float = 60.0


class Backoff(msgspec.Struct, frozen=True):
    """Delay before the n-th restart in a row: none for the first, then `base_s * factor**(n-2)` up
    to `max_s`, each spread by `jitter` (a fraction). After a child has run for `healthy_after_s`,
    the count of restarts in a row begins again.
    """

    base_s: float = 0.1
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.2
    healthy_after_s: float = 10.0


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child of a supervisor.

    `factory` makes a new actor for each incarnation, in the actor's own thread. `retry_budget` is
    how often the message in hand at a crash is tried again before it becomes a dead letter.
    `pooled` actors share a few threads (see `pool.py`): only for actors that never block.
    `private` hides the subtree from `ActorSystem.handle`: only an actor that was given a handle can
    send to it.

    With `escalates` False the child's failures never count for its supervisor's restart intensity,
    and its siblings and its supervisor's readiness never wait for it.

    `children` and `dynamic` are for supervisors: the static children, and the dynamic ones with
    which it starts. Their paths exist as soon as the supervisor's own path, so a message to a child
    that has not started yet waits in its mailbox.
    """

    name: str
    factory: Callable[[], Actor]
    restart: Restart = Restart.PERMANENT
    start_timeout_s: float = 30.0
    shutdown_timeout_s: float = 5.0
    mailbox: MailboxSpec = MailboxSpec()
    retry_budget: int = 0
    stall_after_s: float = 10.0
    pooled: bool = False
    private: bool = False
    escalates: bool = True
    children: tuple[ChildSpec, ...] = ()
    dynamic: tuple[ChildSpec, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            msg = f"a child's name is a path segment without '/', not {self.name!r}"
            raise ValueError(msg)
