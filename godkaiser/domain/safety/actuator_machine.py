"""The life of one actuator as a pure state machine: `step(state, event, now) -> (state, effects)`.

Every change to an actuator is an event. Only the safety actor steps it; the shell of the
actuator publishes the effects, keeps the one timer (`wake_at`) and reports back.

        wanted on --ON--> on its way --answer--> on --lease, OFF, stop, doubt--> wanted off
        wanted off --OFF, repeated--> answered --reported off--> known off

An actuator counts as on for interlocks and limits until it is known off (`is_known_off`). `now` is
monotonic seconds. No function here raises, whatever the order of the events.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from godkaiser.domain.entities import Issuer
from godkaiser.domain.safety.actuator_events import (
    ActuatorEvent,
    Alerted,
    Answered,
    CameOnline,
    Configured,
    Delivered,
    Died,
    Doubted,
    Effect,
    Ended,
    Held,
    LinkCameUp,
    Reported,
    Send,
    ShellRestarted,
    StopGiven,
    StopLifted,
    SwitchOff,
    SwitchOn,
    TimePassed,
    Transition,
    WentOffline,
)
from godkaiser.domain.safety.actuator_evidence import (
    answered_one,
    evidence_of_stop,
    is_newer_than_answer,
    is_older,
    newest,
    settled,
    shown_stopped,
    switched,
)
from godkaiser.domain.safety.actuator_state import (
    REPORTS_THAT_PROVE,
    ActuatorState,
    Pending,
    Sent,
    Wish,
    is_known_off,
)

ANSWER_TIMEOUT_S = 15.0
"""A device answers a command within this time (contract, 10.2)."""
OFF_REPEAT_S = 2.0
MOST_OFF_REPEAT_S = 60.0
RETURN_DELAY_S = 3.0
"""A reconnected device receives commands only some seconds after its first heartbeat (contract,
3.6).
"""
SAME_LEVEL = 0.02
"""Levels that differ by less count as equal: the device has 255 steps."""
MOST_SENT = 32


def step(state: ActuatorState, event: ActuatorEvent, now: float) -> Transition:
    """The next state and its effects."""
    return _STEPS[type(event)](state, event, now)


# ---- decisions


def _switch_on(state: ActuatorState, event: SwitchOn, now: float) -> Transition:
    generation = state.generation + 1
    # Also after an unconfirmed OFF: the contact opens and closes again.
    began = state.on_since is None or state.desired == 0.0
    sent = Sent(
        event.correlation_id, generation, event.level, now, began=began, before=_wish_of(state)
    )
    changed = _replace(
        state,
        generation=generation,
        desired=event.level,
        owner=event.issuer,
        lease_until=now + event.lease_s,
        lease_reason=event.lease_reason,
        on_since=now if state.on_since is None else state.on_since,
        started_at=now if began else state.started_at,
        runs_since=None if began else state.runs_since,
        clean_start=is_known_off(state) if began else state.clean_start,
        switches=switched(state.switches, now, on=True) if began else state.switches,
        repeat_at=None,
        attempts=0,
    )
    return _sent(state, changed, sent, now, event.lease_s, event.issuer)


def _switch_off(state: ActuatorState, event: SwitchOff, now: float) -> Transition:
    generation = state.generation + 1
    changed = _replace(
        state,
        generation=generation,
        desired=0.0,
        owner=event.issuer,
        lease_until=None,
        lease_reason="",
        attempts=1,
        repeat_at=now + OFF_REPEAT_S,
    )
    sent = Sent(event.correlation_id, generation, 0.0, now)
    return _sent(state, changed, sent, now, 0, event.issuer)


def _stop_given(state: ActuatorState, event: StopGiven, now: float) -> Transition:
    # A fast device may have answered before this event is handled.
    shown_at = state.shown_stopped_at
    stopped = _replace(
        state,
        stopped_at=event.at,
        shown_stopped_at=None if shown_at is None or shown_at < event.at else shown_at,
    )
    if is_known_off(state):
        return _replace(stopped, generation=state.generation + 1), ()
    issuer = Issuer("system", "emergency_stop")
    off = SwitchOff(correlation_id=event.correlation_id, issuer=issuer)
    return _switch_off(stopped, off, now)


def _stop_lifted(state: ActuatorState, event: StopLifted, now: float) -> Transition:
    return _replace(state, shown_stopped_at=None, emergency="normal"), ()


def _sent(
    before: ActuatorState,
    state: ActuatorState,
    sent: Sent,
    now: float,
    duration_s: float,
    issuer: Issuer,
) -> Transition:
    effects: tuple[Effect, ...] = ()
    if before.pending is not None:
        effects = (_ended(before.pending, "superseded", "a newer command replaced it"),)
    changed = _replace(
        _on_its_way(state, sent),
        pending=Pending(sent.correlation_id, sent.level, now, now + ANSWER_TIMEOUT_S),
        off_proven=False,
        answered_off=False,
        quiet=0,
    )
    send = Send(
        correlation_id=sent.correlation_id,
        generation=sent.generation,
        level=sent.level,
        duration_s=duration_s,
        issued_by=str(issuer),
    )
    return changed, (*effects, send)


def _on_its_way(state: ActuatorState, sent: Sent) -> ActuatorState:
    if len(state.sent) < MOST_SENT:
        return _replace(state, sent=(*state.sent, sent))
    # With correlation ids nothing is lost: an answer to a later command also proves a forgotten
    # OFF.
    oldest = next((one for one in state.sent if one.level == 0.0), state.sent[0])
    kept = tuple(one for one in state.sent if one is not oldest)
    return _replace(state, sent=(*kept, sent), uncounted=True)


def _system_off(state: ActuatorState, name: str, now: float) -> Transition:
    """An OFF that this state machine decides itself."""
    correlation_id = _own_id(name, state, state.generation + 1, now)
    event = SwitchOff(correlation_id=correlation_id, issuer=Issuer("system", name))
    return _switch_off(state, event, now)


def _own_id(name: str, state: ActuatorState, number: int, now: float) -> str:
    """A deterministic id, so that a replay gives the same one; the device remembers the last 32
    ids.
    """
    return f"{name}:{state.config.esp_id}:{state.config.gpio}:{number}:{now:.3f}"


# ---- messages of the device


def _answered(state: ActuatorState, event: Answered, now: float) -> Transition:
    if state.anonymous == bool(event.correlation_id):
        state = _replace(state, anonymous=not event.correlation_id)
    found, left = answered_one(state, event)
    if found is None:
        return state, ()
    pending = state.pending
    was_off = found.level == 0.0
    changed = _replace(
        state,
        sent=left,
        uncounted=state.uncounted and bool(left),
        answered_seq=event.seq,
        answered_off=was_off and event.success,
        quiet=0,
    )
    if pending is None or pending.correlation_id != found.correlation_id:
        return settled(changed, now), ()
    took_s = now - pending.sent_at
    outcome = "confirmed" if event.success else "failed"
    effects: tuple[Effect, ...] = (_ended(pending, outcome, event.message, took_s),)
    changed = _replace(changed, pending=None)
    if was_off and not event.success and state.reported == 0.0:
        # A stopped actuator refuses even an OFF, and reports its state before it refuses.
        changed = _replace(changed, off_proven=state.reported_at > found.sent_at)
    if not event.success and found.level > 0.0:
        # Only the desired level is withdrawn: an OFF and a report will show the real state.
        withdrawn, off = _system_off(changed, "failed", now)
        return withdrawn, (*effects, *off)
    return settled(changed, now), effects


def _reported(state: ActuatorState, event: Reported, now: float) -> Transition:
    if is_older(state, event):
        return state, ()
    level = event.level
    as_wanted = abs(level - state.desired) < SAME_LEVEL
    changed = _replace(
        state,
        online=True,
        reported=level,
        reported_at=event.heard_at,
        emergency=event.emergency,
        seq=newest(state.seq, event.seq),
        quiet=state.quiet + 1 if as_wanted else 0,
    )
    changed = evidence_of_stop(changed, event)
    if level > 0.0:
        began = min(now, now - event.runtime_s)
        if state.on_since is None:
            switches = switched(state.switches, began, on=True)
            changed = _replace(changed, on_since=began, started_at=began, switches=switches)
        elif began < state.on_since and state.desired == 0.0:
            changed = _replace(changed, on_since=began)
        changed = _replace(changed, off_proven=False)
        if changed.runs_since is None and changed.clean_start:
            # There is no earlier on-period to which this report could belong.
            changed = _replace(changed, runs_since=now)
    changed, effects = _confirmed_by_report(state, changed, event, now)
    changed = settled(changed, now, event)
    if changed.pending is not None:
        return changed, effects
    if state.desired > 0.0 and level == 0.0 and is_newer_than_answer(changed, event):
        # The device switched off by itself; accepting that is the safe side.
        agreed = _replace(changed, desired=0.0, lease_until=None, lease_reason="")
        return settled(agreed, now, event), effects
    if state.desired == 0.0 and level > 0.0 and not _repeats_soon(changed, now):
        drifted, off = _system_off(changed, "drift", now)
        return drifted, (*effects, *off)
    return changed, effects


def _repeats_soon(state: ActuatorState, now: float) -> bool:
    return state.repeat_at is not None and state.repeat_at - now <= OFF_REPEAT_S


def _confirmed_by_report(
    before: ActuatorState, state: ActuatorState, event: Reported, now: float
) -> Transition:
    """A report that shows the commanded change counts as an answer to the command.

    This is only for the outcome: other commands on their way are settled by answers, or, for
    firmware without counter and correlation id, by two reports in a row.
    """
    pending = state.pending
    if pending is None or abs(pending.level - event.level) >= SAME_LEVEL:
        return state, ()
    shows_change = before.reported is None or abs(before.reported - event.level) >= SAME_LEVEL
    if not shows_change and event.seq is not None:
        return state, ()
    if not shows_change and state.quiet < REPORTS_THAT_PROVE:
        return state, ()
    ended = _ended(pending, "confirmed", "the device reports the state", now - pending.sent_at)
    return _replace(state, pending=None), (ended,)


def _alerted(state: ActuatorState, event: Alerted, now: float) -> Transition:
    if event.redelivered:
        return state, ()
    if event.kind == "runtime_protection":
        # The device's own limit ended it, and the device locks this actuator until a clear.
        locked = _replace(state, limit_locked=True)
        if state.desired > 0.0 and state.pending is None:
            locked = _replace(locked, desired=0.0, lease_until=None, lease_reason="")
        return locked, ()
    if event.kind != "emergency_stop":
        return state, ()
    says_on = bool(state.reported) and (
        state.stopped_at is None or state.reported_at >= state.stopped_at
    )
    if says_on:
        return state, ()
    return shown_stopped(state, event.heard_at, redelivered=event.redelivered), ()


# ---- the fate of a command on its way


def _died(state: ActuatorState, event: Died, now: float) -> Transition:
    found = next((one for one in state.sent if one.correlation_id == event.correlation_id), None)
    if found is None:
        return state, ()
    changed = _replace(state, sent=tuple(one for one in state.sent if one is not found))
    effects: tuple[Effect, ...] = ()
    pending = state.pending
    if pending is not None and pending.correlation_id == event.correlation_id:
        changed = _replace(changed, pending=None)
        effects = (_ended(pending, event.state, event.reason),)
        if found.level == 0.0:
            return changed, effects
        changed = _restored(changed, found.before or Wish())
    if found.level > 0.0 and not changed.sent and changed.desired == 0.0:
        changed = _taken_back(changed, found)
    return settled(changed, now), effects


def _restored(state: ActuatorState, wish: Wish) -> ActuatorState:
    """Restore the previous desired level, unless it has ended or is from before a stop."""
    since_stop = (
        state.stopped_at is None or state.on_since is None or state.on_since > state.stopped_at
    )
    if not since_stop:
        wish = Wish()
    return _replace(
        state,
        desired=wish.level,
        owner=wish.owner,
        lease_until=wish.lease_until,
        lease_reason=wish.lease_reason,
    )


def _taken_back(state: ActuatorState, dead: Sent) -> ActuatorState:
    """Remove a start that never happened, so that neither limits nor rest count it."""
    if not dead.began or state.reported != 0.0:
        return state
    switches = state.switches[:-1] if state.switches and state.switches[-1][1] else state.switches
    return _replace(
        state, on_since=None, started_at=None, runs_since=None, switches=switches, off_proven=True
    )


def _delivered(state: ActuatorState, event: Delivered, now: float) -> Transition:
    sent = tuple(
        _replace(one, delivered=True) if one.correlation_id == event.correlation_id else one
        for one in state.sent
    )
    return _replace(state, sent=sent), ()


# ---- time, link and crashes


def _time_passed(state: ActuatorState, event: TimePassed, now: float) -> Transition:
    if state.desired > 0.0 and state.lease_until is not None and now >= state.lease_until:
        return _system_off(state, state.lease_reason or "max_runtime", now)
    pending = state.pending
    if pending is not None and now >= pending.deadline:
        return _overdue(state, pending, now)
    if state.repeat_at is not None and now >= state.repeat_at:
        return _repeat_off(state, now)
    return state, ()


def _overdue(state: ActuatorState, pending: Pending, now: float) -> Transition:
    shown = (
        state.reported is not None
        and abs(state.reported - pending.level) < SAME_LEVEL
        and state.reported_at > pending.sent_at
    )
    state = _replace(state, pending=None)
    if shown:
        return state, (_ended(pending, "confirmed", "the device reports the state"),)
    text = f"the device did not answer within {ANSWER_TIMEOUT_S:.0f} s"
    ended = _ended(pending, "timed_out", text)
    if pending.level == 0.0:
        return state, (ended,)
    # It may or may not have switched on: in doubt, switch off.
    off, effects = _system_off(state, "unconfirmed", now)
    return off, (ended, *effects)


def _repeat_off(state: ActuatorState, now: float) -> Transition:
    if state.desired > 0.0 or is_known_off(state):
        return _replace(state, repeat_at=None), ()
    if not state.online:
        # The device is unreachable; it is sent OFF when it returns.
        return _replace(state, repeat_at=None), ()
    attempts = state.attempts + 1
    delay_s = min(OFF_REPEAT_S * 2.0 ** min(attempts - 1, 10), MOST_OFF_REPEAT_S)
    correlation_id = _own_id("repeat", state, attempts, now)
    sent = Sent(correlation_id, state.generation, 0.0, now)
    repeated = _replace(
        _on_its_way(state, sent), attempts=attempts, repeat_at=now + delay_s, answered_off=False
    )
    send = Send(
        correlation_id=correlation_id,
        generation=state.generation,
        level=0.0,
        duration_s=0,
        issued_by=str(state.owner),
    )
    return repeated, (send,)


def _went_offline(state: ActuatorState, event: WentOffline, now: float) -> Transition:
    return _replace(state, online=False, reported=None, quiet=0), ()


def _came_online(state: ActuatorState, event: CameOnline, now: float) -> Transition:
    changed = _replace(state, online=True)
    if event.new_session:
        # The broker's messages for the old session are lost; the device's counter may be reset.
        changed = _replace(
            changed,
            sent=tuple(one for one in state.sent if not one.delivered),
            uncounted=state.uncounted and not all(one.delivered for one in state.sent),
            seq=None,
            answered_seq=None,
            quiet=0,
        )
    return _told_again(changed, now + RETURN_DELAY_S), ()


def _told_again(state: ActuatorState, at: float) -> ActuatorState:
    if state.desired > 0.0 or is_known_off(state) or state.generation == 0:
        return state
    return _replace(state, attempts=1, repeat_at=at)


def _link_came_up(state: ActuatorState, event: LinkCameUp, now: float) -> Transition:
    return _told_again(state, now), ()


def _shell_restarted(state: ActuatorState, event: ShellRestarted, now: float) -> Transition:
    """It is unknown whether the last command was published: in doubt, send OFF again."""
    pending = state.pending
    if pending is not None and pending.level > 0.0:
        ended = _ended(pending, "timed_out", "the actor that sends it crashed")
        off, effects = _system_off(_replace(state, pending=None), "crashed", now)
        return off, (ended, *effects)
    if state.desired == 0.0 and not is_known_off(state) and state.generation > 0:
        return _repeat_off(_replace(state, attempts=0), now)
    return state, ()


def _doubted(state: ActuatorState, event: Doubted, now: float) -> Transition:
    doubted = _replace(state, off_proven=False, answered_off=False, quiet=0)
    if state.desired > 0.0:
        return doubted, ()
    return _replace(
        doubted, attempts=1, repeat_at=now + RETURN_DELAY_S, generation=max(1, state.generation)
    ), ()


def _configured(state: ActuatorState, event: Configured, now: float) -> Transition:
    changed = _replace(state, config=event.config, pin_user=event.pin_user)
    if changed.lease_until is not None and changed.on_since is not None:
        limit_s = event.config.max_runtime_s
        if limit_s > 0 and changed.on_since + limit_s < changed.lease_until:
            until = changed.on_since + limit_s
            changed = _replace(changed, lease_until=until, lease_reason="max_runtime")
    return changed, ()


def _held(state: ActuatorState, event: Held, now: float) -> Transition:
    return _replace(state, hold=event.hold), ()


# ---- helpers


def _wish_of(state: ActuatorState) -> Wish:
    return Wish(state.desired, state.owner, state.lease_until, state.lease_reason)


def _ended(pending: Pending, state: str, message: str, took_s: float | None = None) -> Ended:
    return Ended(correlation_id=pending.correlation_id, state=state, message=message, took_s=took_s)


_replace = msgspec.structs.replace

_STEPS: dict[type, Callable[..., Transition]] = {
    SwitchOn: _switch_on,
    SwitchOff: _switch_off,
    StopGiven: _stop_given,
    StopLifted: _stop_lifted,
    Answered: _answered,
    Reported: _reported,
    Alerted: _alerted,
    Died: _died,
    Delivered: _delivered,
    TimePassed: _time_passed,
    WentOffline: _went_offline,
    CameOnline: _came_online,
    LinkCameUp: _link_came_up,
    ShellRestarted: _shell_restarted,
    Doubted: _doubted,
    Configured: _configured,
    Held: _held,
}
