"""The supervisor: starts its children in order, restarts them by its strategy, stops them in
reverse, and gives up when they crash too often.

It never waits: each step (child ready, child gone, delay over) is a message, and after each one
`_reconcile` does what is possible now to bring the children to what is wanted of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from godkaiser.supervision.actor import Actor
from godkaiser.supervision.cell import ActorState, Cell
from godkaiser.supervision.errors import (
    ChildExists,
    RestartIntensityExceeded,
    StartTimeout,
    SupervisionError,
)
from godkaiser.supervision.events import Step
from godkaiser.supervision.spec import Backoff, ChildSpec, Intensity, Restart, Strategy
from godkaiser.supervision.strategy import (
    Escalate,
    admit_restart,
    affected,
    backoff_delay,
    wants_restart,
)
from godkaiser.supervision.system_messages import (
    ChildExited,
    ChildReady,
    Reconcile,
    RestartChild,
    StartChild,
    StartOverdue,
    StopChild,
    StopOverdue,
)

if TYPE_CHECKING:
    from godkaiser.supervision.system import ActorSystem

NEVER = float("inf")


def supervisor(
    name: str,
    children: Sequence[ChildSpec] = (),
    *,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: Intensity = Intensity(),
    backoff: Backoff = Backoff(),
    restart: Restart = Restart.PERMANENT,
    shutdown_timeout_s: float = 60.0,
    private: bool = False,
) -> ChildSpec:
    """The spec of a supervisor with these children; more can be added while it runs."""
    return ChildSpec(
        name=name,
        factory=lambda: Supervisor(children, strategy, intensity, backoff),
        restart=restart,
        # A supervisor is ready when its children are; each of them has its own start timeout.
        start_timeout_s=NEVER,
        shutdown_timeout_s=shutdown_timeout_s,
        private=private,
    )


class _Child:
    """What the supervisor knows and wants of one child."""

    __slots__ = (
        "attempt",
        "cell",
        "must_stop",
        "not_before",
        "spec",
        "stop_sent",
        "wanted",
        "was_ready",
    )

    def __init__(self, spec: ChildSpec, cell: Cell) -> None:
        self.spec = spec
        self.cell = cell
        self.wanted = True
        self.must_stop = False
        self.stop_sent = False
        self.was_ready = False
        self.attempt = 0
        self.not_before = 0.0

    @property
    def up(self) -> bool:
        return self.cell.live != 0

    @property
    def running(self) -> bool:
        return self.cell.state is ActorState.RUNNING


class Supervisor(Actor):
    """Children given at creation start in order, each when the one before is ready. Children added
    later (`StartChild`) do not wait for each other, so thousands start at once.
    """

    refusals = (SupervisionError,)
    ready_after_start = False

    def __init__(
        self,
        children: Sequence[ChildSpec],
        strategy: Strategy,
        intensity: Intensity,
        backoff: Backoff,
    ) -> None:
        super().__init__()
        self._specs = tuple(children)
        self._strategy = strategy
        self._intensity = intensity
        self._backoff = backoff
        self._children: dict[str, _Child] = {}
        self._static = frozenset(spec.name for spec in children)
        self._restarts: tuple[float, ...] = ()
        self._terminating = False
        self._failure: BaseException | None = None
        self._announced = False

    def on_start(self) -> None:
        me = self._own_cell()
        for spec in self._specs:
            self._adopt(spec)
        for cell in self._system.children_of(me):
            if cell.name not in self._children:
                # A dynamic child of the supervisor that crashed before this one.
                self._children[cell.name] = _Child(cell.spec, cell)
        for child in self._children.values():
            # Children of a crashed supervisor are stopped before they start afresh under this one.
            child.must_stop = child.up
        self._reconcile()

    def on_receive(self, message: Any) -> Any:
        reply: Any = None
        match message:
            case ChildReady(name, incarnation):
                self._child_ready(name, incarnation)
            case ChildExited(name, incarnation, error):
                self._child_exited(name, incarnation, error)
            case StartOverdue(name, incarnation):
                self._start_overdue(name, incarnation)
            case StopOverdue(name, incarnation):
                self._stop_overdue(name, incarnation)
            case StartChild(spec):
                reply = self._start_child(spec)
            case StopChild(name):
                reply = self._stop_child(name)
            case RestartChild(name, spec):
                reply = self._restart_child(name, spec)
            case Reconcile():
                pass
            case _:
                return self.context.unhandled(message)
        self._reconcile()
        return reply

    def on_stop_request(self) -> bool:
        self._terminate(None)
        self._reconcile()
        return True

    # ---- what happened to a child

    def _child_ready(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or child.cell.live != incarnation:
            return
        child.was_ready = True
        self.context.cancel(("start", name))

    def _child_exited(self, name: str, incarnation: int, error: BaseException | None) -> None:
        child = self._children.get(name)
        if child is None or child.cell.incarnation != incarnation or child.up:
            return
        self._exited(child, error)

    def _exited(self, child: _Child, error: BaseException | None) -> None:
        name = child.spec.name
        self.context.cancel(("start", name))
        self.context.cancel(("stop", name))
        child.stop_sent = False
        if child.must_stop:
            child.must_stop = False
            return
        if self._terminating:
            return
        if not wants_restart(child.spec.restart, crashed=error is not None):
            child.wanted = False
            return
        self._plan_restart(child, error)

    def _plan_restart(self, child: _Child, error: BaseException | None) -> None:
        now = self.context.monotonic()
        admitted = admit_restart(self._restarts, now, self._intensity)
        if isinstance(admitted, Escalate):
            detail = (
                f"{admitted.restarts} restarts within {admitted.within_s} s; the last was of"
                f" {child.cell.path}: {error!r}"
            )
            self._own_cell().emit(Step.GAVE_UP, detail=detail)
            failure = RestartIntensityExceeded(detail)
            failure.__cause__ = error
            self._terminate(failure)
            return
        self._restarts = admitted
        ran_s = self._system.runtime.now() - (child.cell.started_at or 0.0)
        if child.was_ready and ran_s >= self._backoff.healthy_after_s:
            child.attempt = 0
        child.attempt += 1
        delay_s = backoff_delay(self._backoff, child.attempt, self.context.random())
        child.not_before = now + delay_s
        child.cell.emit(Step.RESTARTING, delay_s=delay_s, detail=f"in {delay_s:.3f} s")
        if delay_s > 0:
            self.context.schedule(delay_s, Reconcile(), key=("backoff", child.spec.name))
        for sibling in affected(self._strategy, tuple(self._children), child.spec.name):
            other = self._children[sibling]
            if other is not child and other.up:
                other.must_stop = True

    def _start_overdue(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or child.cell.live != incarnation or child.running:
            return
        limit_s = child.spec.start_timeout_s
        detail = f"not ready after {limit_s} s; its thread is given up"
        child.cell.emit(Step.STUCK, detail=detail, trace=self._stack_of(child))
        if child.cell.abandon(incarnation):
            self._exited(child, StartTimeout(f"{child.cell.path}: {detail}"))

    def _stop_overdue(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or child.cell.live != incarnation:
            return
        detail = (
            f"did not stop within {child.spec.shutdown_timeout_s} s; its thread is given up and"
            " ends when the call that holds it returns"
        )
        child.cell.emit(Step.STUCK, detail=detail, trace=self._stack_of(child))
        if child.cell.abandon(incarnation):
            self._exited(child, None)

    def _stack_of(self, child: _Child) -> str:
        return self._system.runtime.stack_of(child.cell)

    # ---- what somebody wants

    def _start_child(self, spec: ChildSpec) -> Any:
        present = self._children.get(spec.name)
        if self._terminating:
            msg = f"{self.context.path} is stopping and starts nothing more"
            raise ChildExists(msg)
        if present is not None and present.wanted:
            msg = f"{present.cell.path} is supervised already"
            raise ChildExists(msg)
        if present is not None and (present.up or present.must_stop):
            present.wanted = True
            present.spec = present.cell.spec = spec
            return present.cell.handle
        return self._adopt(spec).cell.handle

    def _stop_child(self, name: str) -> bool:
        child = self._children.get(name)
        if child is None:
            return False
        child.wanted = False
        child.must_stop = child.up
        return True

    def _restart_child(self, name: str, spec: ChildSpec | None) -> bool:
        child = self._children.get(name)
        if child is None:
            return False
        if spec is not None:
            child.spec = child.cell.spec = spec
        child.wanted = True
        child.must_stop = child.up
        child.attempt = 0
        child.not_before = 0.0
        return True

    def _adopt(self, spec: ChildSpec) -> _Child:
        cell = self._system.cell_for(self._own_cell(), spec)
        child = _Child(spec, cell)
        self._children[spec.name] = child
        return child

    def _terminate(self, failure: BaseException | None) -> None:
        if not self._terminating:
            self._terminating = True
            self._failure = failure
        for child in self._children.values():
            child.must_stop = child.up

    # ---- bringing the children to what is wanted

    def _reconcile(self) -> None:
        self._stop_what_must()
        self._forget_unwanted()
        if self._terminating:
            if not any(child.up for child in self._children.values()):
                for child in tuple(self._children.values()):
                    child.cell.end_for_good()
                self._children.clear()
                self.context.exit(self._failure)
            return
        self._start_what_may()
        if not self._announced and self._all_settled():
            self._announced = True
            self.context.declare_ready()

    def _stop_what_must(self) -> None:
        """In reverse start order, each when those after it are gone; dynamic ones all at once."""
        for child in reversed(tuple(self._children.values())):
            if not child.must_stop:
                continue
            if not child.up:
                # It ended by itself; its last word is still on the way and changes nothing.
                child.must_stop = False
                continue
            if not child.stop_sent:
                child.stop_sent = True
                self._send_stop(child)
            if child.spec.name in self._static:
                return

    def _send_stop(self, child: _Child) -> None:
        child.cell.emit(Step.STOPPING)
        self.context.cancel(("start", child.spec.name))
        self.context.cancel(("backoff", child.spec.name))
        self.context.schedule(
            child.spec.shutdown_timeout_s,
            StopOverdue(child.spec.name, child.cell.live),
            key=("stop", child.spec.name),
        )
        self._system.send_stop(child.cell)

    def _forget_unwanted(self) -> None:
        gone = [c for c in self._children.values() if not c.wanted and not c.up]
        for child in gone:
            if self._strategy is Strategy.ONE_FOR_ONE or child.spec.name not in self._static:
                del self._children[child.spec.name]
                child.cell.end_for_good()

    def _start_what_may(self) -> None:
        if any(child.must_stop for child in self._children.values()) and (
            self._strategy is not Strategy.ONE_FOR_ONE
        ):
            return
        now = self.context.monotonic()
        blocked = False
        for child in self._children.values():
            in_order = child.spec.name in self._static
            if (
                child.wanted
                and not child.up
                and not child.must_stop
                and child.not_before <= now
                and not (blocked and in_order)
            ):
                self._start(child)
            if in_order and child.wanted and not self._lets_successors_start(child):
                blocked = True

    def _lets_successors_start(self, child: _Child) -> bool:
        if child.running:
            return True
        return child.was_ready and self._strategy is Strategy.ONE_FOR_ONE

    def _start(self, child: _Child) -> None:
        incarnation = child.cell.prepare_incarnation()
        limit_s = child.spec.start_timeout_s
        if limit_s != NEVER:
            self.context.schedule(
                limit_s, StartOverdue(child.spec.name, incarnation), key=("start", child.spec.name)
            )
        self._system.runtime.spawn(child.cell, incarnation)

    def _all_settled(self) -> bool:
        return all(
            child.running or not child.wanted
            for name, child in self._children.items()
            if name in self._static
        )

    @property
    def _system(self) -> ActorSystem:
        return self._own_cell().system

    def _own_cell(self) -> Cell:
        cell = self.actor_inbox.cell
        assert cell is not None
        return cell
