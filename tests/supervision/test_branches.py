"""What control does not need can fail for ever without touching control; what is away is waited for.

The kind of fault: one restart intensity for things of unequal weight, so that a report that crashes, a few
devices of a thousand, or a database that is away for a minute end the process that keeps a plant safe.
"""

from __future__ import annotations

import threading

import pytest

from godkaiser.supervision import (
    Actor,
    ActorSystem,
    ActorWaiting,
    Backoff,
    Intensity,
    LifeStep,
    MailboxSpec,
    SimulatedRuntime,
    StartChild,
    StopChild,
    Strategy,
    ThreadedRuntime,
    Waiting,
    supervisor,
)
from godkaiser.supervision.supervisor import MOST_STUCK
from tests.supervision.parts import (
    PATIENCE_S,
    Diary,
    Poison,
    Steps,
    child,
    diary,
    root,
    simulated,
    threaded,
)
from tests.waiting import eventually


class Outside:
    """Something that may be away."""

    def __init__(self, *, away=True):
        self.away = away
        self.tries = 0


class Away(Exception):
    pass


class Dependent(Actor):
    waits_for = (Away,)

    def __init__(self, outside, pages=()):
        super().__init__()
        self._outside = outside
        self.pages = pages

    def on_start(self):
        self._outside.tries += 1
        if self._outside.away:
            raise Away("the database does not answer")

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        self.pages.append(message)
        return message


class Broken(Actor):
    def on_start(self):
        raise Poison("always")


class Hanging(Actor):
    """Never ready, never ends."""

    ready_after_start = False

    def on_stop_request(self):
        return True


def two_branches(services, control=()):
    return root(
        supervisor("control", [diary("guard"), *control]),
        supervisor("services", services, intensity=None, escalates=False),
        intensity=Intensity(max_restarts=0),
    )


def state(system, path):
    return system.info(path).state


# ---- services


@pytest.mark.parametrize(
    "failing",
    [
        child("broken", Broken),
        child("broken", Hanging, start_timeout_s=1.0),
        child("broken", lambda: Dependent(Outside())),
        child("broken", lambda: 1 / 0),
    ],
    ids=["crashes at its start", "is never ready", "waits for ever", "cannot be made"],
)
def test_a_service_that_never_comes_up_holds_up_nobody_and_never_escalates(failing):
    system, runtime = simulated(two_branches([diary("before"), failing, diary("after")]))
    runtime.run_for(3600.0)
    assert not system.terminated.is_set()
    for path in ("/control/guard", "/services/before", "/services/after"):
        assert (state(system, path), system.info(path).incarnation) == ("running", 1)
    assert [info.path for info in system.not_up()] == ["/services/broken"]
    tries = system.info("/services/broken").incarnation
    assert 3600 / 40 < tries < 3600 / 20  # About every 30 s: neither given up nor a storm.


def test_a_storm_of_crashes_of_a_service_ends_when_its_cause_does():
    system, runtime = simulated(two_branches([diary("report")]))
    for _ in range(100):
        system.handle("/services/report").tell(Poison())
        runtime.run_for(1.0)
    runtime.run_for(3600.0)
    assert state(system, "/services/report") == "running"
    assert system.not_up() == []
    assert system.info("/control/guard").incarnation == system.info("/services").incarnation == 1


def test_a_crash_of_all_services_touches_no_control():
    system, runtime = simulated(two_branches([diary("report")]))
    for _ in range(20):
        system.crash("/services")
        runtime.run_for(60.0)
    assert not system.terminated.is_set()
    assert state(system, "/services/report") == "running"
    assert system.info("/control/guard").incarnation == 1


def test_a_service_that_hangs_while_it_stops_is_given_up_and_control_stops_in_order():
    pages = []
    tree = two_branches(
        [child("stubborn", Hanging, shutdown_timeout_s=1.0, start_timeout_s=1e9)],
        control=[diary("last", pages)],
    )
    system, _runtime = simulated(tree)
    assert system.stop(60.0)
    assert pages[-1] == ("stop", "/control/last", 1)
    assert system.exit_code == 0


def test_a_control_that_gives_up_ends_the_process():
    system, runtime = simulated(two_branches([diary("report")]))
    for _ in range(20):
        guard = system.find("/control/guard")
        if guard is not None:
            guard.tell(Poison())
        runtime.run_for(1.0)
    assert system.terminated.is_set()
    assert system.exit_code == 70


# ---- many children of one kind


def test_eight_of_a_thousand_that_fail_at_their_start_are_down_and_the_others_work():
    """Row 12: the whole gateway ended in 21 s."""
    bad = {f"ESP_{n}" for n in range(8)}
    fleet = [
        child(name, Broken) if name in bad else diary(name)
        for name in (f"ESP_{n}" for n in range(1000))
    ]
    devices = supervisor("devices", intensity=None, backoff=Backoff(max_s=60.0), dynamic=fleet)
    system, runtime = simulated(two_branches([], control=[devices]))
    runtime.run_for(600.0)
    assert {info.path.rpartition("/")[2] for info in system.not_up()} == bad
    assert not system.terminated.is_set()
    for name in ("ESP_8", "ESP_999"):
        info = system.info(f"/control/devices/{name}")
        assert (info.state, info.incarnation) == ("running", 1)
    tries = system.info("/control/devices/ESP_0").incarnation
    assert 600 / 72 < tries < 40


def test_a_child_that_failed_at_first_comes_up_by_itself_when_its_cause_is_gone():
    outside = Outside()
    system, runtime = simulated(root(supervisor("devices", intensity=None)))
    boss = system.handle("/devices")
    boss.tell(StartChild(child("a", lambda: Dependent(outside, []))))
    runtime.run_for(600.0)
    outside.away = False
    runtime.run_for(60.0)
    assert state(system, "/devices/a") == "running"


def test_dynamic_children_of_the_start_outlive_their_supervisor_and_stay_away_once_stopped():
    fleet = [diary("a"), diary("b")]
    system, runtime = simulated(root(supervisor("devices", intensity=None, dynamic=fleet)))
    system.handle("/devices").tell(StopChild("a"))
    runtime.run_for(1.0)
    system.crash("/devices")
    runtime.run_for(60.0)
    assert system.children("/devices") == ["/devices/b"]
    assert system.info("/devices/b").state == "running"


def test_a_path_of_the_tree_takes_messages_before_its_actor_has_started():
    pages = []
    early = Early()
    _system, runtime = simulated(root(child("first", lambda: early), diary("last", pages)))
    runtime.run_for(1.0)
    assert pages == [("start", "/last", 1), "early"]


class Early(Actor):
    def on_start(self):
        self.context.handle("/last").tell("early")


# ---- waiting


def test_waiting_is_shown_with_its_reason_and_counts_for_nothing():
    outside, pages = Outside(), []
    tree = root(child("a", lambda: Dependent(outside, pages)), intensity=Intensity(max_restarts=1))
    runtime = SimulatedRuntime(1)
    runtime.calm()
    system = ActorSystem(tree, runtime)
    steps = Steps(system)
    system.start()
    runtime.run_for(600.0)
    info = system.info("/a")
    assert (info.state, info.waiting_for) == ("waiting", "the database does not answer")
    assert (info.restarts, info.last_error) == (0, "")
    assert outside.tries > 10
    assert not system.terminated.is_set()
    assert len(system.dead_letters.list()) == 0
    assert [e.detail for e in steps.events if e.step is LifeStep.WAITING] == [info.waiting_for]
    with pytest.raises(ActorWaiting, match="does not answer"):
        system.handle("/a").ask("now?", timeout_s=5.0)
    system.handle("/a").tell("later")
    outside.away = False
    assert runtime.run_until(system.ready.is_set, 60.0)
    runtime.run_for(1.0)
    info = system.info("/a")
    assert (info.state, info.waiting_for, pages) == ("running", "", ["later"])
    assert system.not_up() == []


def test_the_same_error_while_it_runs_is_a_crash():
    outside = Outside(away=False)
    system, runtime = simulated(root(child("a", lambda: Dependent(outside, []))))
    system.handle("/a").tell(Away())
    runtime.run_for(1.0)
    info = system.info("/a")
    assert info.restarts == 1
    assert "Away" in info.last_error


def test_waiting_in_the_factory_and_between_siblings_that_share_a_fate():
    outside = Outside(away=False)

    def make():
        if outside.away:
            raise Waiting("no disk")
        return Diary()

    tree = root(
        diary("first"), child("middle", make), diary("last"), strategy=Strategy.REST_FOR_ONE
    )
    system, runtime = simulated(tree)
    outside.away = True
    system.handle("/middle").tell(Poison())
    runtime.run_for(600.0)
    assert [state(system, p) for p in ("/first", "/middle", "/last")] == [
        "running",
        "waiting",
        "down",
    ]
    outside.away = False
    runtime.run_for(60.0)
    assert [state(system, p) for p in ("/first", "/middle", "/last")] == ["running"] * 3
    assert system.info("/first").incarnation == 1


def test_a_start_does_not_hang_on_services():
    hanging = child("hanging", Hanging, start_timeout_s=60.0, shutdown_timeout_s=0.2)
    outside = child("waiting", lambda: Dependent(Outside()))
    tree = two_branches([diary("up"), hanging, outside, child("broken", Broken)])
    with threaded(tree, ThreadedRuntime()) as system:
        assert system.await_first_starts("/services", 0.3) == ["/services/hanging"]
        assert system.await_first_starts("/control", 5.0) == []


def test_what_is_told_while_it_waits_is_kept_up_to_the_bound():
    outside, pages = Outside(), []
    spec = child("a", lambda: Dependent(outside, pages), mailbox=MailboxSpec(capacity=3))
    system, runtime = simulated(root(supervisor("some", [spec], intensity=None)))
    for number in range(5):
        system.handle("/some/a").tell(number)
    outside.away = False
    runtime.run_for(60.0)
    assert pages == [0, 1, 2]
    assert [letter.reason.value for letter in system.dead_letters.list()] == ["overflow"] * 2


@pytest.mark.parametrize("pooled", [False, True])
def test_a_service_that_hangs_at_each_start_costs_a_few_threads_and_comes_back(pooled):
    gate, hanging = threading.Event(), []

    class Hangs(Actor):
        def on_start(self):
            hanging.append(self.context.incarnation)
            assert gate.wait(PATIENCE_S)

    service = child("hangs", Hangs, start_timeout_s=0.01, shutdown_timeout_s=5.0, pooled=pooled)
    services = supervisor(
        "services", [service], intensity=None, escalates=False, backoff=Backoff(0.01, max_s=0.02)
    )
    with threaded(root(services), ThreadedRuntime(stall_check_s=0.02)) as system:
        boss = system.info("/services").handled
        eventually(lambda: system._cells["/services/hangs"].stuck == MOST_STUCK)
        eventually(lambda: system.info("/services").handled > boss + 20)
        assert hanging == [1, 2, 3]
        gate.set()
        eventually(lambda: system.info("/services/hangs").state == "running")
        assert system._cells["/services/hangs"].stuck == 0
