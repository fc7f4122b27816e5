"""The supervisor: starts its children in order, restarts them by its strategy, stops them in
reverse, and gives up when they crash too often.

It never blocks: each event (child ready, child ended, delay over) is a message, and after each one
`_reconcile` does what is possible now to bring the children to their desired state.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from godkaiser.supervision.actor import Actor
from godkaiser.supervision.cell import ActorCell
from godkaiser.supervision.children import Child, Children
from godkaiser.supervision.errors import (
    ActorStopped,
    ChildExists,
    RestartIntensityExceeded,
    StartTimeout,
    SupervisionError,
)
from godkaiser.supervision.events import LifeStep
from godkaiser.supervision.spec import Backoff, ChildSpec, Intensity, Restart, Strategy
from godkaiser.supervision.strategy import (
    Escalate,
    admit_restart,
    affected,
    backoff_delay,
    wants_restart,
)
from godkaiser.supervision.system_messages import (
    AdoptChild,
    BackoffOver,
    ChildExited,
    ChildReady,
    RestartChild,
    StartChild,
    StartOverdue,
    StopChild,
    StopOverdue,
    SystemMessage,
)

if TYPE_CHECKING:
    from godkaiser.supervision.handle import Handle
    from godkaiser.supervision.system import ActorSystem

NEVER = float("inf")
MOST_STUCK = 3
"""Threads of one child that may hang at a time; the child is not started again before one returns.
"""


def supervisor(
    name: str,
    children: Sequence[ChildSpec] = (),
    *,
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    intensity: Intensity | None = Intensity(),
    backoff: Backoff = Backoff(),
    restart: Restart = Restart.PERMANENT,
    shutdown_timeout_s: float = 60.0,
    private: bool = False,
    escalates: bool = True,
    dynamic: Sequence[ChildSpec] = (),
) -> ChildSpec:
    """Make the spec of a supervisor with these children; more can be added while it runs.

    `dynamic` are children with which it starts beside the static ones, all at once. With
    `intensity` None it never gives up: a child that keeps failing is down between its restarts,
    whose backoff grows, and the other children work on.
    """
    return ChildSpec(
        name=name,
        factory=lambda: Supervisor(children, strategy, intensity, backoff),
        restart=restart,
        # A supervisor is ready when its children are ready; each of them has its own start timeout.
        start_timeout_s=NEVER,
        shutdown_timeout_s=shutdown_timeout_s,
        private=private,
        escalates=escalates,
        children=tuple(children),
        dynamic=tuple(dynamic),
    )


class Supervisor(Actor):
    """Static children start in order, each when the one before it is ready. Children added later
    (`StartChild`) do not wait for each other, so thousands start at once. A successor of this
    supervisor starts all of them again, and their handles and mailboxes stay valid.
    """

    refusals = (SupervisionError,)
    ready_after_start = False

    def __init__(
        self,
        children: Sequence[ChildSpec],
        strategy: Strategy,
        intensity: Intensity | None,
        backoff: Backoff,
    ) -> None:
        super().__init__()
        self._specs = tuple(children)
        self._strategy = strategy
        self._intensity = intensity
        self._backoff = backoff
        self._children = Children()
        self._restarts: tuple[float, ...] = ()
        self._terminating = False
        self._failure: BaseException | None = None
        self._announced = False

    def on_start(self) -> None:
        static = {spec.name for spec in self._specs}
        for spec in self._specs:
            self._take_in(spec, static=True)
        for cell in self._system.children_of(self._own_cell()):
            if cell.name not in static:
                self._inherit(cell)
        self._reconcile()

    def on_receive(self, message: Any) -> Any:
        reply: Any = None
        match message:
            case ChildReady(name, incarnation):
                self._child_ready(name, incarnation)
            case ChildExited():
                self._child_exited(message)
            case BackoffOver(name):
                self._backoff_over(name)
            case StartOverdue(name, incarnation):
                self._start_overdue(name, incarnation)
            case StopOverdue(name, incarnation):
                self._stop_overdue(name, incarnation)
            case StartChild(spec):
                reply = self._start_child(spec)
            case AdoptChild(spec):
                self._adopt(spec)
            case StopChild(name):
                reply = self._stop_child(name)
            case RestartChild(name, spec):
                reply = self._restart_child(name, spec)
            case _:
                return self.context.unhandled(message)
        self._reconcile()
        return reply

    def on_stop_request(self) -> bool:
        self._terminate(None)
        self._reconcile()
        return True

    # ---- events of children

    def _child_ready(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or not child.up or child.incarnation != incarnation:
            return
        child.ready = child.was_ready = True
        self.context.cancel(("start", name))

    def _child_exited(self, message: ChildExited) -> None:
        child = self._children.get(message.name)
        if child is None or not child.up or child.incarnation != message.incarnation:
            return
        self._exited(child, message.error, waiting=message.waiting)

    def _exited(self, child: Child, error: BaseException | None, *, waiting: bool = False) -> None:
        self.context.cancel(("start", child.name))
        self.context.cancel(("stop", child.name))
        was_told_to = child.must_stop
        was_ready = child.ready
        self._children.ended(child)
        if self._terminating:
            return
        if was_told_to:
            if child.wanted:
                self._children.mark_start(child)
            else:
                self._drop(child)
        elif waiting:
            self._restart_later(child, was_ready=False, at_once=False)
        elif wants_restart(child.spec.restart, crashed=error is not None):
            self._plan_restart(child, error, was_ready=was_ready)
        else:
            self._finish(child)

    def _finish(self, child: Child) -> None:
        """The child ended and needs no restart. A child of a group stays known: the group may
        restart.
        """
        temporary = child.spec.restart is Restart.TEMPORARY
        child.wanted = False
        if temporary or not child.static or self._strategy is Strategy.ONE_FOR_ONE:
            self._drop(child)

    def _drop(self, child: Child) -> None:
        self._children.remove(child)
        if self._system.release(child.cell):
            child.cell.forget()

    def _plan_restart(self, child: Child, error: BaseException | None, *, was_ready: bool) -> None:
        now = self.context.monotonic()
        if self._intensity is not None and child.spec.escalates:
            admitted = admit_restart(self._restarts, now, self._intensity)
            if isinstance(admitted, Escalate):
                self._give_up(child, admitted, error)
                return
            self._restarts = admitted
        delay_s = self._restart_later(child, was_ready=was_ready, at_once=True)
        child.cell.emit(LifeStep.RESTARTING, delay_s=delay_s, detail=f"in {delay_s:.3f} s")
        self._take_siblings_down(child)

    def _restart_later(self, child: Child, *, was_ready: bool, at_once: bool) -> float:
        """Returns the delay in seconds. `at_once`: the first restart in a row has none."""
        now = self.context.monotonic()
        if was_ready and now - child.up_since >= self._backoff.healthy_after_s:
            child.attempt = 0
        child.attempt = max(child.attempt + 1, 1 if at_once else 2)
        delay_s = backoff_delay(self._backoff, child.attempt, self.context.random())
        if delay_s > 0:
            child.not_before = now + delay_s
            self._later(delay_s, BackoffOver(child.name), ("backoff", child.name))
        else:
            self._children.mark_start(child)
        return delay_s

    def _give_up(self, child: Child, admitted: Escalate, error: BaseException | None) -> None:
        detail = (
            f"{admitted.restarts} failures within {admitted.within_s} s; the last was of"
            f" {child.cell.path}: {error!r}"
        )
        self._own_cell().emit(LifeStep.GAVE_UP, detail=detail)
        failure = RestartIntensityExceeded(detail)
        failure.__cause__ = error
        self._terminate(failure)

    def _take_siblings_down(self, failed: Child) -> None:
        for name in affected(self._strategy, self._children.names, failed.name):
            sibling = self._children.get(name)
            if sibling is None or sibling is failed:
                continue
            if sibling.spec.restart is Restart.TEMPORARY:
                sibling.unwant()
            elif not sibling.up and not sibling.wanted:
                sibling.want()
            self._children.mark_stop(sibling)

    def _backoff_over(self, name: str) -> None:
        child = self._children.get(name)
        if child is None or child.up:
            return
        if child.cell.stuck >= MOST_STUCK:
            # A thread cannot be killed: another try would probably hang, too, and cost one more
            # thread.
            child.not_before = self.context.monotonic() + self._backoff.max_s
            self._later(self._backoff.max_s, BackoffOver(name), ("backoff", name))
        else:
            child.not_before = 0.0
            self._children.mark_start(child)

    def _start_overdue(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or not child.up or child.incarnation != incarnation or child.ready:
            return
        limit_s, life = child.spec.start_timeout_s, child.cell.life
        if life is not None and life.number == incarnation:
            # The timeout counts from when a thread began to run it, not from when it was queued.
            now = self.context.monotonic()
            left_s = limit_s if life.begun_at is None else life.begun_at + limit_s - now
            if left_s > 0.0:
                self._later(left_s, StartOverdue(name, incarnation), ("start", name))
                return
        why = f"was not ready {child.spec.start_timeout_s} s after its start"
        if child.cell.abandon(incarnation, why):
            self._exited(child, StartTimeout(f"{child.cell.path} {why}"))

    def _stop_overdue(self, name: str, incarnation: int) -> None:
        child = self._children.get(name)
        if child is None or not child.up or child.incarnation != incarnation:
            return
        why = f"did not stop within {child.spec.shutdown_timeout_s} s"
        if child.cell.abandon(incarnation, why):
            self._exited(child, None)

    # ---- requests

    def _start_child(self, spec: ChildSpec) -> Handle:
        if self._terminating:
            msg = f"{self.context.path} is stopping and starts no more children"
            raise ActorStopped(msg)
        child = self._children.get(spec.name)
        if child is not None and child.wanted:
            msg = f"{child.cell.path} is already supervised: choose another name, or restart that child"
            raise ChildExists(msg)
        return self._begin(child, spec).cell.handle

    def _adopt(self, spec: ChildSpec) -> None:
        child = self._children.get(spec.name)
        if not self._terminating and (child is None or not child.wanted):
            self._begin(child, spec)
        # A successor of this supervisor takes over what a terminating one leaves.
        self._system.adopted(self._own_cell(), spec.name)

    def _begin(self, present: Child | None, spec: ChildSpec) -> Child:
        """Start a dynamic child; a child that was to stop for good is started again with the new
        spec.
        """
        if present is None:
            return self._take_in(spec, static=False)
        present.respec(spec)
        present.want()
        self._children.mark_start(present)
        return present

    def _stop_child(self, name: str) -> bool:
        child = self._children.get(name)
        if child is None:
            return False
        child.unwant()
        self.context.cancel(("backoff", name))
        if child.up:
            self._children.mark_stop(child)
        else:
            self._drop(child)
        return True

    def _restart_child(self, name: str, spec: ChildSpec | None) -> bool:
        child = self._children.get(name)
        if child is None:
            return False
        if spec is not None:
            child.respec(spec)
        self.context.cancel(("backoff", name))
        child.want()
        self._children.mark_stop(child)
        self._children.mark_start(child)
        return True

    def _terminate(self, failure: BaseException | None) -> None:
        if self._terminating:
            return
        self._terminating = True
        self._failure = failure
        for child in self._children:
            self._children.mark_stop(child)

    # ---- the list of children

    def _take_in(self, spec: ChildSpec, *, static: bool) -> Child:
        cell = self._system.cell_for(self._own_cell(), spec)
        child = Child(spec, cell, static=static, escalates=self._intensity is not None)
        child.want()
        self._children.add(child)
        # A child that a crashed predecessor left running is stopped and started again.
        self._children.mark_stop(child)
        self._children.mark_start(child)
        return child

    def _inherit(self, cell: ActorCell) -> None:
        """Take over a dynamic child from the spec, or from a supervisor that crashed before this
        one.
        """
        has_lived = cell.incarnation > 0
        needless = (has_lived and cell.spec.restart is Restart.TEMPORARY) or (
            cell.completed and not wants_restart(cell.spec.restart, crashed=False)
        )
        if cell.wanted and not needless:
            self._take_in(cell.spec, static=False)
            return
        child = Child(cell.spec, cell, static=False)
        child.unwant()
        self._children.add(child)
        if child.up:
            self._children.mark_stop(child)
        else:
            self._drop(child)

    def _leave(self) -> None:
        """Exit. The children's mailboxes stay: a successor starts them again; when this supervisor
        is forgotten, its children are forgotten with it.
        """
        for child in self._children:
            if not child.wanted:
                self._drop(child)
        self.context.exit(self._failure)

    # ---- bringing the children to their desired state

    def _reconcile(self) -> None:
        in_groups = self._terminating or self._strategy is not Strategy.ONE_FOR_ONE
        for child in self._children.next_to_stop(in_groups=in_groups):
            self._send_stop(child)
        if self._terminating:
            if self._children.up == 0:
                self._leave()
            return
        if not (in_groups and self._children.stopping):
            independent = self._strategy is Strategy.ONE_FOR_ONE
            now = self.context.monotonic()
            for child in self._children.next_to_start(now, independent=independent):
                self._start(child)
        if not self._announced and self._all_settled():
            self._announced = True
            self.context.declare_ready()

    def _send_stop(self, child: Child) -> None:
        child.stop_sent = True
        child.cell.emit(LifeStep.STOPPING)
        self.context.cancel(("start", child.name))
        overdue = StopOverdue(child.name, child.incarnation)
        self._later(child.spec.shutdown_timeout_s, overdue, ("stop", child.name))
        child.cell.send_stop()

    def _start(self, child: Child) -> None:
        life = child.cell.next_life()
        child.incarnation = life.number
        child.up_since = self.context.monotonic()
        self._children.started(child)
        limit_s = child.spec.start_timeout_s
        if limit_s != NEVER:
            self._later(limit_s, StartOverdue(child.name, life.number), ("start", child.name))
        try:
            self._system.runtime.spawn(life)
        except RuntimeError as error:
            # The machine cannot start a thread: treat it as a crash at the start, with backoff.
            life.crash(error)

    def _all_settled(self) -> bool:
        return all(
            child.ready or not (child.wanted and child.awaited) for child in self._children.static
        )

    def _later(self, delay_s: float, message: SystemMessage, key: Hashable) -> None:
        # Exempt from the bound on timers of an actor: each child has at most three.
        life = self._own_cell().life
        if life is not None:
            life.schedule(delay_s, message, key, bounded=False)

    @property
    def _system(self) -> ActorSystem:
        return self._own_cell().system

    def _own_cell(self) -> ActorCell:
        cell = self.actor_inbox.cell
        assert cell is not None
        return cell
