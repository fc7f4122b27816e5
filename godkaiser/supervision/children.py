"""The actual and the desired state of each child of a supervisor.

It contains only what messages (`ChildReady`, `ChildExited`) or the supervisor's own acts told: the
child's thread is never inspected, so each end is seen once, and in one order.
"""

from __future__ import annotations

from collections.abc import Iterator

from godkaiser.supervision.cell import ActorCell
from godkaiser.supervision.spec import ChildSpec


class Child:
    """`up` from its start to its known end; `not_before` is the end of its backoff and `up_since`
    its last start, both in monotonic seconds; `attempt` counts the restarts in a row. `awaited`:
    later static children, and the supervisor's readiness, wait for this child.
    """

    __slots__ = (
        "attempt",
        "awaited",
        "cell",
        "incarnation",
        "must_stop",
        "not_before",
        "ready",
        "spec",
        "static",
        "stop_sent",
        "up",
        "up_since",
        "wanted",
        "was_ready",
    )

    def __init__(
        self, spec: ChildSpec, cell: ActorCell, *, static: bool, escalates: bool = True
    ) -> None:
        self.awaited = escalates and spec.escalates
        self.spec = spec
        self.cell = cell
        self.static = static
        self.wanted = True
        self.up = cell.life is not None
        self.incarnation = cell.incarnation
        self.up_since = 0.0
        self.ready = False
        self.was_ready = False
        self.must_stop = False
        self.stop_sent = False
        self.attempt = 0
        self.not_before = 0.0

    @property
    def name(self) -> str:
        return self.spec.name

    def respec(self, spec: ChildSpec) -> None:
        self.spec = self.cell.spec = spec
        self.cell.mailbox.configure(spec.mailbox)

    def want(self) -> None:
        """Start it at once, with no backoff and no restarts counted."""
        self.wanted = self.cell.wanted = True
        self.attempt = 0
        self.not_before = 0.0

    def unwant(self) -> None:
        self.wanted = self.cell.wanted = False


class Children:
    """All children in start order: the static ones, then the dynamic ones.

    Children to stop and children to start are kept in sets of their own, so that with ten thousand
    children the end of one costs as much as with ten.
    """

    def __init__(self) -> None:
        self._all: dict[str, Child] = {}
        self._static: dict[str, Child] = {}
        self._stopping: dict[str, Child] = {}
        self._unsent: dict[str, Child] = {}
        self._idle: dict[str, Child] = {}
        self.up = 0

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._all.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._all)

    @property
    def static(self) -> tuple[Child, ...]:
        return tuple(self._static.values())

    @property
    def stopping(self) -> bool:
        return bool(self._stopping)

    def get(self, name: str) -> Child | None:
        return self._all.get(name)

    def add(self, child: Child) -> None:
        self._all[child.name] = child
        if child.static:
            self._static[child.name] = child
        if child.up:
            self.up += 1

    def remove(self, child: Child) -> None:
        del self._all[child.name]
        self._static.pop(child.name, None)
        self._idle.pop(child.name, None)

    def started(self, child: Child) -> None:
        self._idle.pop(child.name, None)
        child.up = True
        self.up += 1

    def ended(self, child: Child) -> None:
        self._stopping.pop(child.name, None)
        self._unsent.pop(child.name, None)
        child.up = child.ready = child.must_stop = child.stop_sent = False
        self.up -= 1

    def mark_stop(self, child: Child) -> None:
        if child.up and not child.must_stop:
            child.must_stop = True
            self._stopping[child.name] = child
            if not child.static:
                self._unsent[child.name] = child

    def mark_start(self, child: Child) -> None:
        """It may start as soon as the order allows; static ones are checked anyway."""
        if not child.static and not child.up:
            self._idle[child.name] = child

    def next_to_stop(self, *, in_groups: bool) -> list[Child]:
        """The children that can be told to stop now: the dynamic ones at once, the static ones in
        reverse start order, each when those after it have ended (`in_groups`: also the dynamic
        ones).
        """
        due = list(self._unsent.values())
        self._unsent.clear()
        static_stopping = any(child.must_stop for child in self._static.values())
        if not static_stopping:
            return due
        if in_groups and any(not child.static for child in self._stopping.values()):
            return due
        for child in reversed(self._static.values()):
            if child.must_stop:
                if not child.stop_sent:
                    due.append(child)
                break
        return due

    def next_to_start(self, now: float, *, independent: bool) -> list[Child]:
        """The children that may start: dynamic ones at once, a static one when those before it are
        ready
        (`independent`: or were ready once, and are only being restarted).
        """
        due = list(self._idle.values())
        for child in self._static.values():
            if not child.wanted:
                continue
            if not child.up and child.not_before <= now:
                due.append(child)
            if child.awaited and not (child.ready or (independent and child.was_ready)):
                break
        return due
