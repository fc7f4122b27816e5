"""The life of one actuator, against a device that carries out what reaches it, late or never."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from godkaiser.domain.entities import Issuer
from godkaiser.domain.safety import actuator_machine as machine
from godkaiser.domain.safety.actuator_events import (
    ActuatorEvent,
    Alerted,
    Answered,
    CameOnline,
    Configured,
    Delivered,
    Died,
    Doubted,
    Ended,
    Held,
    LinkCameUp,
    Reported,
    Send,
    ShellRestarted,
    StopGiven,
    SwitchOff,
    SwitchOn,
    TimePassed,
    WentOffline,
)
from godkaiser.domain.safety.actuator_machine import ANSWER_TIMEOUT_S, step
from godkaiser.domain.safety.actuator_memory import kept, restored
from godkaiser.domain.safety.actuator_state import ActuatorState, is_known_off, wake_at
from godkaiser.domain.safety.safety import Hold
from tests.domain.safety.safety_builders import a_config

OPERATOR = Issuer("user", "1")


def fresh(**limits) -> ActuatorState:
    state = ActuatorState(config=a_config(**limits), online=True)
    return step(
        state, Reported(level=0.0, runtime_s=0.0, emergency="normal", heard_at=0.0, seq=1), 0.0
    )[0]


def on(correlation_id="on", level=1.0, lease_s=60.0) -> SwitchOn:
    return SwitchOn(
        correlation_id=correlation_id, level=level, lease_s=lease_s, lease_reason="duration",
        issuer=OPERATOR,
    )  # fmt: skip


def off(correlation_id="off") -> SwitchOff:
    return SwitchOff(correlation_id=correlation_id, issuer=OPERATOR)


def said(level, seq=None, emergency="normal", heard_at=1e9) -> Reported:
    """Received after everything that was decided, unless a test says otherwise."""
    return Reported(level=level, runtime_s=0.0, emergency=emergency, seq=seq, heard_at=heard_at)


def run(state: ActuatorState, *events: tuple[float, ActuatorEvent]) -> tuple[ActuatorState, list]:
    effects: list = []
    for now, event in events:
        state, more = step(state, event, now)
        effects += more
    return state, effects


def test_an_on_that_is_answered_and_reported_is_on_until_its_lease_ends() -> None:
    state, effects = run(fresh(), (1.0, on()), (1.1, said(1.0, 5)))
    answer = Answered(correlation_id="on", success=True, message="", seq=6)
    state, more = step(state, answer, 1.2)
    assert [type(effect) for effect in effects] == [Send, Ended]
    assert more == ()
    assert wake_at(state) == 61.0
    state, effects = step(state, TimePassed(), 61.0)
    assert isinstance(effects[0], Send)
    assert (effects[0].level, str(state.owner)) == (0.0, "system:duration")


def test_it_is_known_off_only_after_the_answer_and_a_report() -> None:
    state, _ = run(fresh(), (1.0, on()), (2.0, off()))
    assert not is_known_off(state)
    state, _ = step(state, said(0.0, 2), 2.1)
    assert not is_known_off(state)
    answer = Answered(correlation_id="off", success=True, message="", seq=9)
    state, _ = step(state, answer, 2.2)
    assert is_known_off(state)
    assert state.off_since == 2.2


def test_a_report_of_before_the_answer_does_not_prove_a_failed_off() -> None:
    state, _ = run(fresh(), (1.0, on()), (1.1, off()))
    answer = Answered(correlation_id="off", success=False, message="", seq=9)
    state, _ = step(state, answer, 1.2)
    assert not is_known_off(state)
    assert not is_known_off(step(state, said(0.0, 8), 1.3)[0])
    assert is_known_off(step(state, said(0.0, 10), 1.3)[0])


def test_a_command_that_never_left_leaves_what_was_before() -> None:
    state, _ = run(
        fresh(), (1.0, on("a", 0.5)), (1.1, said(0.5, 5)),
        (1.2, Answered(correlation_id="a", success=True, message="", seq=6)), (2.0, on("b")),
        (2.1, Died(correlation_id="b", state="refused", reason="too old")),
    )  # fmt: skip
    assert (state.desired, state.lease_until) == (0.5, 61.0)


def test_a_command_that_never_left_costs_no_switching_and_no_rest() -> None:
    state, _ = run(
        fresh(min_off_s=60.0),
        (1.0, on()),
        (1.1, Died(correlation_id="on", state="refused", reason="")),
    )
    assert is_known_off(state)
    assert (state.switches, state.on_since, state.off_since) == ((), None, None)


def test_an_answer_that_does_not_come_makes_an_on_an_off() -> None:
    state, _ = step(fresh(), on(), 1.0)
    state, effects = step(state, TimePassed(), 1.0 + ANSWER_TIMEOUT_S)
    assert [getattr(effect, "state", "OFF") for effect in effects] == ["timed_out", "OFF"]
    assert state.desired == 0.0


def test_an_off_is_repeated_ever_more_slowly_until_it_is_known() -> None:
    state, _ = run(fresh(), (0.0, on()), (0.0, off()))
    sent, now = 0, 0.0
    while now < 600.0:
        now = wake_at(state) or 600.0
        state, effects = step(state, TimePassed(), now)
        sent += sum(isinstance(effect, Send) for effect in effects)
    assert 10 < sent < 25
    # Reports alone prove nothing while an answer may still come.
    state, _ = run(state, (now, said(0.0, 90)), (now, said(0.0, 91)))
    assert not is_known_off(state)


def test_a_device_whose_answers_name_no_command_proves_its_state_by_two_reports() -> None:
    nameless = Answered(correlation_id="", success=True, message="")
    state, _ = run(fresh(), (1.0, on()), (1.1, nameless), (2.0, off()), (2.1, off("again")))
    state, _ = step(state, said(0.0, 90), 2.2)
    assert not is_known_off(state)
    state, _ = step(state, said(0.0, 91), 2.3)
    assert is_known_off(state)


def test_a_stop_tells_nothing_to_an_actuator_that_is_known_to_be_off() -> None:
    state, effects = step(fresh(), StopGiven(correlation_id="s", at=1.0), 1.0)
    assert effects == ()
    assert state.generation == 1
    _, effects = step(step(fresh(), on(), 1.0)[0], StopGiven(correlation_id="s", at=2.0), 2.0)
    assert [type(effect) for effect in effects] == [Ended, Send]


def test_what_is_kept_holds_in_the_same_boot_and_is_over_after_another() -> None:
    state, _ = run(fresh(min_off_s=30.0), (1.0, on()), (1.1, said(1.0, 5)))
    memory = kept(state, "boot-1", 2.0)
    same = restored(state.config, memory, "boot-1", 10.0)
    assert (same.desired, same.lease_until, same.on_since) == (1.0, 61.0, 1.0)
    other = restored(state.config, memory, "boot-2", 10.0)
    assert (other.desired, other.off_since) == (0.0, 10.0)
    assert not is_known_off(other)
    assert restored(state.config, memory, "boot-1", 70.0).desired == 0.0


numbers = st.one_of(st.none(), st.integers(0, 400))
levels = st.sampled_from([0.0, 0.5, 1.0])
ids = st.sampled_from(["a", "b", "c"])
event_strategy: st.SearchStrategy[ActuatorEvent] = st.one_of(
    st.builds(on, ids, st.sampled_from([0.5, 1.0]), st.floats(0.0, 100.0)),
    st.builds(off, ids),
    st.builds(StopGiven, correlation_id=ids, at=st.floats(0.0, 500.0)),
    st.builds(
        Answered, correlation_id=ids, success=st.booleans(), message=st.just(""), seq=numbers
    ),
    st.builds(
        Reported, level=levels, runtime_s=st.floats(0.0, 1e6), seq=numbers,
        emergency=st.sampled_from(["normal", "active", "clearing", "?"]),
        redelivered=st.booleans(), heard_at=st.floats(0.0, 500.0),
    ),
    st.builds(
        Alerted, kind=st.sampled_from(["emergency_stop", "runtime_protection", "x"]),
        heard_at=st.floats(0.0, 500.0),
    ),
    st.builds(Died, correlation_id=ids, state=st.just("failed"), reason=st.just("")),
    st.builds(Delivered, correlation_id=ids),
    st.builds(CameOnline, new_session=st.booleans()),
    st.sampled_from(
        [TimePassed(), WentOffline(), LinkCameUp(), ShellRestarted(), Doubted(), Held(hold=None)]
    ),
    st.builds(Held, hold=st.builds(Hold, by=st.just("x"), until=st.just(9.0))),
    st.builds(
        Configured,
        config=st.builds(lambda s: a_config(max_runtime_s=s), st.integers(0, 100)),
        pin_user=st.just(""),
    ),
)  # fmt: skip


@given(st.lists(st.tuples(st.floats(0.0, 20.0), event_strategy), max_size=40))
@settings(max_examples=400)
def test_nothing_but_a_verdict_energises_whatever_happens(story: list) -> None:
    state, now = fresh(), 0.0
    for pause, event in story:
        now += pause
        after, effects = step(state, event, now)
        assert after.generation >= state.generation
        sends = [effect for effect in effects if isinstance(effect, Send)]
        for send in sends:
            assert send.level == 0.0 or isinstance(event, SwitchOn)
            assert send.generation == after.generation
        if isinstance(event, SwitchOff):
            assert sends
            assert after.desired == 0.0
        if after.desired > 0.0:
            assert after.lease_until is not None
        if is_known_off(after):
            assert after.on_since is None
        assert step(state, event, now) == (after, effects)
        assert len(after.sent) <= machine.MOST_SENT
        state = after


class DeviceMachine(RuleBasedStateMachine):
    """One actuator and one device. The wire keeps the order and may hold everything back; the device
    answers in its own time. What the state claims to know must be true of the device and the wire.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.state = fresh()
        self.level = 0.0
        self.seq = 1
        self.number = 0
        self.wire: list[Send] = []
        self.replies: list[ActuatorEvent] = []

    def tell(self, event: ActuatorEvent) -> None:
        self.state, effects = step(self.state, event, self.now)
        self.wire += [effect for effect in effects if isinstance(effect, Send)]

    def say(self) -> None:
        self.seq += 1
        self.replies.append(said(self.level, self.seq))

    @rule(level=st.sampled_from([0.5, 1.0]))
    def a_verdict_allows(self, level: float) -> None:
        self.number += 1
        self.tell(on(f"n{self.number}", level, 30.0))

    @rule()
    def somebody_switches_off(self) -> None:
        self.number += 1
        self.tell(off(f"n{self.number}"))

    @rule()
    def a_stop_is_given(self) -> None:
        self.number += 1
        self.tell(StopGiven(correlation_id=f"n{self.number}", at=self.now))

    @rule(seconds=st.sampled_from([0.1, 3.0, 16.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = wake_at(self.state)
        if due is not None and due <= self.now:
            self.tell(TimePassed())

    @precondition(lambda self: self.wire)
    @rule(fails=st.booleans())
    def a_command_reaches_the_device(self, *, fails: bool) -> None:
        send = self.wire.pop(0)
        if not fails:
            self.level = send.level
            self.say()
        self.seq += 1
        self.replies.append(
            Answered(
                correlation_id=send.correlation_id, success=not fails, message="", seq=self.seq
            )
        )

    @precondition(lambda self: any(send.level for send in self.wire))
    @rule()
    def a_command_is_withheld(self) -> None:
        """Only one that is no longer the newest decision."""
        for send in self.wire:
            if send.level and send.generation < self.state.generation:
                self.wire.remove(send)
                self.tell(Died(correlation_id=send.correlation_id, state="refused", reason=""))
                return

    @rule()
    def the_device_reports(self) -> None:
        self.say()

    @rule()
    def somebody_presses_its_button(self) -> None:
        self.level = 0.0 if self.level else 1.0
        self.say()

    @precondition(lambda self: self.replies)
    @rule()
    def a_reply_arrives(self) -> None:
        self.tell(self.replies.pop(0))

    @precondition(lambda self: len(self.replies) > 1)
    @rule()
    def replies_change_places(self) -> None:
        self.replies[0], self.replies[1] = self.replies[1], self.replies[0]

    @rule()
    def the_shell_crashes(self) -> None:
        self.tell(ShellRestarted())

    @invariant()
    def known_off_is_true(self) -> None:
        """Unless the device has switched by itself and the report of it is still on its way."""
        if is_known_off(self.state):
            assert not any(send.level for send in self.wire)
            told = any(isinstance(reply, Reported) and reply.level for reply in self.replies)
            assert self.level == 0.0 or told


TestDevice = DeviceMachine.TestCase
TestDevice.settings = settings(max_examples=300, stateful_step_count=30)
