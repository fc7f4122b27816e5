"""The actor system: the registry of paths, and the state that all actors share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import msgspec

from godkaiser.supervision.asking import Asking
from godkaiser.supervision.cell import ActorCell, ActorState
from godkaiser.supervision.dead_letters import DeadLetters
from godkaiser.supervision.errors import ActorStopped, ResendRefused, UnknownPath
from godkaiser.supervision.events import EventLog, LifeStep
from godkaiser.supervision.groups import Groups
from godkaiser.supervision.system_messages import AdoptChild

if TYPE_CHECKING:
    from godkaiser.supervision.handle import Handle
    from godkaiser.supervision.runtimes.runtime import Runtime
    from godkaiser.supervision.spec import ChildSpec


class ActorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of one actor, taken while it runs. Ages in seconds, times in unix seconds."""

    path: str
    kind: str
    state: str
    incarnation: int
    restarts: int
    handled: int
    mailbox_depth: int
    mailbox_high_water: int
    mailbox_capacity: int
    mailbox_refused: int
    oldest_age_s: float
    busy_s: float
    started_at: float | None
    last_error: str
    last_error_at: float | None
    waiting_for: str


class ActorSystem:
    """One tree of actors under one root supervisor, run by one runtime."""

    def __init__(self, root: ChildSpec, runtime: Runtime) -> None:
        self.runtime = runtime
        self.events = EventLog()
        self.dead_letters = DeadLetters()
        self.groups = Groups()
        self.asking = Asking()
        self.ready = threading.Event()
        self.terminated = threading.Event()
        self.failure: BaseException | None = None
        self.ailing: dict[str, ActorCell] = {}
        self._cells: dict[str, ActorCell] = {}
        self._children: dict[str, dict[str, ActorCell]] = {}
        self._registry = threading.Lock()
        self.publication_listeners: tuple[Callable[[str, Hashable, Any], None], ...] = ()
        runtime.bind(self)
        self._root = ActorCell(self, "/", root, None)
        self._cells["/"] = self._root
        self._plan(self._root)

    # ---- life

    def start(self) -> None:
        """Start the tree; `ready` is set when every static child is ready."""
        self.runtime.start()
        self.events.subscribe(self._watch_root)
        self.runtime.spawn(self._root.next_life())

    def await_first_starts(self, path: str, timeout_s: float) -> list[str]:
        """Wait until each child of `path` has become ready or failed for the first time.

        Returns the paths of those that did neither within `timeout_s`.
        """
        done = threading.Event()

        def look(event: Any) -> None:
            if event.path.startswith(path) and not self._not_tried(path):
                done.set()

        self.events.subscribe(look)
        try:
            if self._not_tried(path):
                self.runtime.await_event(done, timeout_s)
        finally:
            self.events.unsubscribe(look)
        return self._not_tried(path)

    def _not_tried(self, path: str) -> list[str]:
        untried = (ActorState.STARTING, ActorState.DOWN)
        return [
            cell.path
            for cell in self._children.get(path, {}).copy().values()
            if cell.state in untried and not (cell.last_error or cell.waiting_for)
        ]

    def request_stop(self) -> None:
        """Begin the ordered stop; `terminated` is set when it is done."""
        if self._root.life is None and not self.terminated.is_set():
            self._root.forget()
        self._root.send_stop()

    def stop(self, timeout_s: float = 60.0) -> bool:
        """Stop in order and wait; False when it took longer than `timeout_s`."""
        self.request_stop()
        done = self.runtime.await_event(self.terminated, timeout_s)
        self.runtime.stop()
        return done

    @property
    def exit_code(self) -> int:
        """The exit code of the process: 0 after an ordered stop, 70 (EX_SOFTWARE) when the root
        gave up.
        """
        return 0 if self.failure is None else 70

    def _watch_root(self, event: Any) -> None:
        if event.path == "/" and event.step is LifeStep.READY:
            self.ready.set()

    # ---- addressing

    def handle(self, path: str) -> Handle:
        """The handle of the actor at `path`, valid across restarts. Takes no lock.

        Raises:
            UnknownPath: no actor has this path, or its subtree is private.
        """
        cell = self._cells.get(path)
        if cell is None or cell.private_root is not None:
            raise UnknownPath(path)
        return cell.handle

    def at_work(self) -> tuple[str, object] | None:
        """The actor that runs in the calling thread, and its message; None in other threads."""
        cell = self.asking.current()
        if cell is None:
            return None
        envelope = None if cell.life is None else cell.life.current
        return cell.path, None if envelope is None else envelope.message

    def find(self, path: str) -> Handle | None:
        cell = self._cells.get(path)
        return None if cell is None or cell.private_root is not None else cell.handle

    def handle_for(self, asker: ActorCell, path: str) -> Handle:
        """Like `handle`; the siblings of its root may also reach a private subtree."""
        cell = self._cells.get(path)
        if cell is None:
            raise UnknownPath(path)
        root = cell.private_root
        if root is not None and root.parent is not asker.parent:
            raise UnknownPath(path)
        return cell.handle

    def on_publication(self, listener: Callable[[str, Hashable, Any], None]) -> None:
        """Call `listener` for everything that is published from now on, in the publishing actor's
        thread.

        A listener must neither block nor raise: it runs inside every `publish`.
        """
        self.publication_listeners = (*self.publication_listeners, listener)

    def published(self, path: str) -> dict[Hashable, Any]:
        """The values that the actor at `path` has published; empty when no actor has this path."""
        cell = self._cells.get(path)
        return {} if cell is None else cell.published.copy()

    def published_value(self, path: str, key: Hashable) -> Any:
        cell = self._cells.get(path)
        return None if cell is None else cell.published.get(key)

    def children(self, path: str) -> list[str]:
        """The paths of the children of `path`, in the order of their first start."""
        return [cell.path for cell in self._children.get(path, {}).copy().values()]

    def watch(self, path: str, watcher: ActorCell) -> None:
        cell = self._cells.get(path)
        if cell is None:
            raise UnknownPath(path)
        if watcher not in cell.watchers:
            cell.watchers = (*cell.watchers, watcher)

    # ---- inspection

    def tree(self) -> list[ActorInfo]:
        """Every actor, parents before children."""
        found: list[ActorInfo] = []
        pending = [self._root]
        while pending:
            cell = pending.pop()
            found.append(self._info(cell))
            pending.extend(reversed(self.children_of(cell)))
        return found

    def info(self, path: str) -> ActorInfo:
        cell = self._cells.get(path)
        if cell is None:
            raise UnknownPath(path)
        return self._info(cell)

    def not_up(self) -> list[ActorInfo]:
        """The actors that crashed or wait for something and have not become ready since."""
        return [self._info(cell) for cell in self.ailing.copy().values() if cell.wanted]

    def _info(self, cell: ActorCell) -> ActorInfo:
        now = self.runtime.monotonic()
        waiting_since = cell.mailbox.waiting_since()
        life = cell.life
        busy = life is not None and life.current is not None
        return ActorInfo(
            path=cell.path,
            kind=cell.kind,
            state=cell.state.value,
            incarnation=cell.incarnation,
            restarts=cell.restarts,
            handled=cell.handled,
            mailbox_depth=len(cell.mailbox),
            mailbox_high_water=cell.mailbox.high_water,
            mailbox_capacity=cell.mailbox.capacity,
            mailbox_refused=cell.mailbox.refused,
            oldest_age_s=0.0 if waiting_since is None else max(now - waiting_since, 0.0),
            busy_s=max(now - life.current_since, 0.0) if life is not None and busy else 0.0,
            started_at=cell.started_at,
            last_error=cell.last_error,
            last_error_at=cell.last_error_at,
            waiting_for=cell.waiting_for,
        )

    def is_responsive(self, within_s: float = 5.0) -> bool:
        """Whether the root supervisor is up and no message has waited long for it (for a watchdog)."""
        info = self._info(self._root)
        waited_s = max(info.oldest_age_s, info.busy_s)
        return self._root.life is not None and waited_s < within_s

    def crash(self, path: str, detail: str = "crash on request") -> None:
        """Make the actor at `path` crash, so that its supervisor restarts it."""
        cell = self._cells.get(path)
        if cell is None:
            raise UnknownPath(path)
        cell.send_crash(detail)

    def resend(self, letter_id: int) -> None:
        """Resend a dead letter to its receiver.

        Raises:
            KeyError: there is no such letter (any more).
            UnknownPath: its receiver no longer exists; the letter is kept.
            ResendRefused: it is for a private subtree, or for an actor that takes no dead letters;
            it is kept.
        """
        letter = self.dead_letters.find(letter_id)
        cell = self._cells.get(letter.path)
        if cell is None:
            raise UnknownPath(letter.path)
        if cell.private_root is not None or not cell.spec.mailbox.takes_resent:
            msg = f"{letter.path} takes no dead letters: they are expired decisions; command anew"
            raise ResendRefused(msg)
        # Another resend may have taken it meanwhile.
        cell.tell(self.dead_letters.take(letter_id).message)

    def cells(self) -> list[ActorCell]:
        return list(self._cells.copy().values())

    # ---- for supervisors and cells

    def children_of(self, cell: ActorCell) -> list[ActorCell]:
        return list(self._children.get(cell.path, {}).copy().values())

    def cell_for(self, parent: ActorCell, spec: ChildSpec) -> ActorCell:
        """The child's cell: the existing one (with its waiting messages), or a new one."""
        path = _path_below(parent, spec.name)
        with self._registry:
            cell = self._cells.get(path)
            if cell is not None and cell.parent is parent and not cell.over:
                cell.spec = spec
                return cell
            return self._new_cell(path, spec, parent)

    def adopt(self, asker: ActorCell, supervisor: str, spec: ChildSpec) -> Handle:
        """See `ActorContext.adopt`."""
        boss = self.handle_for(asker, supervisor)._cell
        with self._registry:
            path = _path_below(boss, spec.name)
            cell = self._cells.get(path)
            if boss.over:
                raise ActorStopped(f"{supervisor} has stopped")
            if cell is None or cell.over or cell.parent is not boss:
                cell = self._new_cell(path, spec, boss)
            cell.adoptions += 1
        try:
            boss.tell_adoption(AdoptChild(spec))
        except ActorStopped:
            self.adopted(boss, spec.name)
            cell.forget()
            raise
        return cell.handle

    def adopted(self, boss: ActorCell, name: str) -> None:
        """Called when the supervisor has received one `AdoptChild`."""
        with self._registry:
            cell = self._cells.get(_path_below(boss, name))
            if cell is not None and cell.parent is boss and cell.adoptions:
                cell.adoptions -= 1

    def close(self, cell: ActorCell) -> None:
        """End the cell for good: nothing can be adopted below it any more."""
        with self._registry:
            cell.state = ActorState.STOPPED

    def release(self, cell: ActorCell) -> bool:
        """End a cell that its supervisor drops, unless it has been adopted again meanwhile."""
        with self._registry:
            adopted = cell.adoptions > 0
            if not adopted:
                cell.state = ActorState.STOPPED
        if adopted:
            self.groups.leave_all(cell.handle)
        return not adopted

    def _new_cell(self, path: str, spec: ChildSpec, parent: ActorCell) -> ActorCell:
        cell = ActorCell(self, path, spec, parent)
        self._cells[path] = cell
        self._children.setdefault(parent.path, {})[spec.name] = cell
        self._plan(cell)
        return cell

    def _plan(self, cell: ActorCell) -> None:
        """Create the paths of all children in its spec, before any of them starts."""
        for spec in (*cell.spec.children, *cell.spec.dynamic):
            self._new_cell(_path_below(cell, spec.name), spec, cell)

    def forget(self, cell: ActorCell) -> None:
        self.groups.leave_all(cell.handle)
        with self._registry:
            if self.ailing.get(cell.path) is cell:
                del self.ailing[cell.path]
            if self._cells.get(cell.path) is cell:
                del self._cells[cell.path]
                if cell.parent is not None:
                    self._children.get(cell.parent.path, {}).pop(cell.name, None)
                self._children.pop(cell.path, None)
            nobody_left = not self._cells
        if nobody_left:
            self.terminated.set()

    def incarnation_ended(self, cell: ActorCell, error: BaseException | None) -> None:
        """Called once for each end of an incarnation, in its thread."""
        if cell is self._root:
            self.failure = error
            cell.forget()
        elif error is not None:
            # Children are linked to their supervisor: a crashed one takes them down.
            for child in self.children_of(cell):
                child.send_stop()


def _path_below(parent: ActorCell, name: str) -> str:
    return f"{'' if parent.path == '/' else parent.path}/{name}"
