"""The plant of the safety actor: devices, the state of each actuator, and the interlocks.

Used by the safety actor only. Only this class steps the states
(`domain/safety/actuator_machine.py`); after each step it checks the interlocks of the actuator, and
switches off actuators that violate them.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from godkaiser.actors.devices.messages import DevicePresence
from godkaiser.actors.safety.actuator import Order, Transmission
from godkaiser.actors.safety.messages import ActuatorStateChanged, ActuatorView, CommandOutcome
from godkaiser.actors.safety.stays_on import StaysOn
from godkaiser.actors.storage.journal import RecordActuator, RecordAudit, RecordOutcome
from godkaiser.domain.entities import ActuatorKey, Approval, Command, Issuer
from godkaiser.domain.records.latency import Latencies
from godkaiser.domain.safety.actuator_events import (
    ActuatorEvent,
    CameOnline,
    Effect,
    Ended,
    Send,
    ShellRestarted,
    SwitchOff,
    SwitchOn,
    WentOffline,
)
from godkaiser.domain.safety.actuator_machine import step
from godkaiser.domain.safety.actuator_memory import is_worth_keeping, kept
from godkaiser.domain.safety.actuator_state import (
    LONG_AGO,
    ActuatorState,
    as_other,
    facts_of,
    is_energised,
    wake_at,
)
from godkaiser.domain.safety.interlocks import (
    Interlock,
    OtherActuator,
    dependents_of,
    groups_of,
    to_release,
)
from godkaiser.domain.safety.safety import CommandFacts, DeviceFacts, Hold
from godkaiser.domain.safety.stop_state import SafetyState, Scope
from godkaiser.mqtt.gate import CommandGate
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.supervision import ActorContext, Handle

INTERLOCK = Issuer("system", "interlock")


class Plant:
    def __init__(self, context: ActorContext, gate: CommandGate, journal: Handle) -> None:
        self.interlocks: tuple[Interlock, ...] = ()
        self._context = context
        self._gate = gate
        self._journal = journal
        self._by_actuator: dict[ActuatorKey, tuple[Interlock, ...]] = {}
        self._groups: dict[ActuatorKey, tuple[Interlock, ...]] = {}
        self._states: dict[ActuatorKey, ActuatorState] = {}
        self._handles: dict[ActuatorKey, Handle] = {}
        self._by_device: dict[str, dict[ActuatorKey, None]] = {}
        self._devices: dict[str, DevicePresence] = {}
        self._expiry: dict[str, float] = {}
        self._waiters: dict[str, Any] = {}
        self._answered_after: dict[ActuatorKey, Latencies] = {}
        self._violating: set[ActuatorKey] = set()
        self.stays_on = StaysOn()

    # ---- devices

    def learn(self, presence: DevicePresence) -> bool:
        """Handle the presence of a device; returns whether it is new, came back, or has rebooted."""
        known = self._devices.get(presence.device_id)
        self._devices[presence.device_id] = presence
        returned = presence.online and (known is None or not known.online or presence.rebooted)
        if returned:
            self._tell_all(presence.device_id, CameOnline(new_session=known is not None))
        elif not presence.online and (known is None or known.online):
            self._tell_all(presence.device_id, WentOffline())
        return returned

    def _tell_all(self, device_id: str, event: ActuatorEvent) -> None:
        for key in tuple(self._by_device.get(device_id, ())):
            self.apply(key, event)

    def forget(self, device_id: str) -> None:
        self._devices.pop(device_id, None)

    def device(self, device_id: str) -> DevicePresence | None:
        return self._devices.get(device_id)

    def zone_of(self, device_id: str) -> str:
        presence = self._devices.get(device_id)
        return "" if presence is None else presence.zone_id

    def is_online(self, device_id: str) -> bool:
        presence = self._devices.get(device_id)
        return presence is not None and presence.online

    def covered(self, scope: Scope) -> list[str]:
        """The devices in a scope."""
        return [
            device_id
            for device_id, presence in self._devices.items()
            if scope.covers(device_id, presence.zone_id)
        ]

    # ---- actuators

    def take_in(self, state: ActuatorState, handle: Handle) -> None:
        """Add an actuator that is new to this process, or to this incarnation of the safety actor."""
        key = state.config.key
        state = msgspec.structs.replace(state, online=self.is_online(key.esp_id))
        self._states[key] = state
        self._handles[key] = handle
        self._by_device.setdefault(key.esp_id, {})[key] = None
        self._context.publish(("actuator", key), state)
        self._order(key, state)

    def remove(self, key: ActuatorKey) -> None:
        self._states.pop(key, None)
        self._handles.pop(key, None)
        self._violating.discard(key)
        self.stays_on.forget(key)
        self._answered_after.pop(key, None)
        self._by_device.get(key.esp_id, {}).pop(key, None)
        self._context.withdraw(("actuator", key))

    def find(self, key: ActuatorKey) -> ActuatorState | None:
        return self._states.get(key)

    def states(self) -> Iterator[ActuatorState]:
        return iter(self._states.values())

    def of_device(self, device_id: str) -> list[ActuatorState]:
        return [self._states[key] for key in self._by_device.get(device_id, ())]

    def runs(self, key: ActuatorKey) -> bool:
        """Whether it is desired on, reports on, or an ON may be on its way to it."""
        state = self._states.get(key)
        return state is not None and is_energised(state)

    def keys_of(self, devices: Iterable[str]) -> list[ActuatorKey]:
        return [key for device_id in devices for key in self._by_device.get(device_id, ())]

    def holds(self) -> dict[ActuatorKey, Hold]:
        return {key: s.hold for key, s in self._states.items() if s.hold is not None}

    # ---- stepping

    def apply(self, key: ActuatorKey, event: ActuatorEvent) -> ActuatorState | None:
        """Step the state of an actuator, carry out the effects, enforce the interlocks; returns the
        new state.
        """
        before = self._states.get(key)
        if before is None:
            return None
        state, effects = step(before, event, self._context.monotonic())
        if state is not before:
            self._entered(key, before, state, effects)
            if key in self._by_actuator:
                self._mend(key)
        return self._states.get(key)

    def shell_restarted(self, key: ActuatorKey) -> None:
        """The actor of this actuator has crashed: it has lost view and timer, and its last commands
        may not have been sent.
        """
        state = self._states.get(key)
        if state is not None:
            self._order(key, state)
            self.apply(key, ShellRestarted())

    def switch_on(self, key: ActuatorKey, event: SwitchOn, expires_at: float, waiter: Any) -> None:
        """An allowed command; void after `expires_at`. `waiter` gets its outcome."""
        self._expiry[event.correlation_id] = expires_at
        if waiter is not None:
            self._waiters[event.correlation_id] = waiter
        self.apply(key, event)

    def switch_off(
        self, key: ActuatorKey, issuer: Issuer, correlation_id: str = "", waiter: Any = None
    ) -> None:
        """OFF; actuators that must not run without it go off first."""
        if key in self._by_actuator:
            entries = self._groups[key]
            for dependent in dependents_of(entries, key, self.others(entries)):
                self._release(dependent)
                self._violating.discard(dependent)
        correlation_id = correlation_id or str(uuid.uuid4())
        if waiter is not None:
            self._waiters[correlation_id] = waiter
        self.apply(key, SwitchOff(correlation_id=correlation_id, issuer=issuer))

    def _mend(self, key: ActuatorKey) -> None:
        """Switch off actuators that violate an interlock of `key`, and their dependents; audit it
        once.
        """
        entries = self._groups[key]
        victims = to_release(entries, self.others(entries))
        for entry in entries:
            for member in (entry.actuator, entry.other):
                if member not in victims:
                    self._violating.discard(member)
        for victim in victims:
            self._release(victim)

    def _release(self, key: ActuatorKey) -> None:
        state = self._states.get(key)
        if state is None or not is_energised(state):
            return
        if key not in self._violating:
            self._violating.add(key)
            self._audit("system:interlock", f"released {state}: an interlock forbids it to run")
        if state.desired == 0.0 and (state.sent or state.repeat_at is not None):
            # It was already sent OFF, and OFF is repeated.
            return
        self.apply(key, SwitchOff(correlation_id=str(uuid.uuid4()), issuer=INTERLOCK))

    def _entered(
        self,
        key: ActuatorKey,
        before: ActuatorState,
        state: ActuatorState,
        effects: tuple[Effect, ...],
    ) -> None:
        self._states[key] = state
        transmissions = []
        for effect in effects:
            if isinstance(effect, Send):
                transmissions.append(self._transmission(key, effect))
            else:
                state = self._ended(key, effect)
        self.stays_on.note(key, state, self._context.monotonic())
        # Published before anything is sent, so that a successor knows what may be on its way.
        self._context.publish(("actuator", key), state)
        if is_worth_keeping(before, state):
            self._keep(key, state)
        self._order(key, state, tuple(transmissions))
        if before.reported != state.reported and state.reported is not None:
            self._tell_members(key, state.reported)

    def _transmission(self, key: ActuatorKey, send: Send) -> Transmission:
        if send.level == 0.0:
            self._gate.supersede(key.esp_id, key.gpio, send.generation)
            return Transmission(send)
        expires_at = self._expiry.pop(send.correlation_id, LONG_AGO)
        clearance = self._gate.clear(key.esp_id, key.gpio, send.generation, expires_at)
        return Transmission(send, clearance)

    def _ended(self, key: ActuatorKey, ended: Ended) -> ActuatorState:
        at = self._context.now()
        if ended.took_s is not None:
            known = self._answered_after.get(key, Latencies())
            self._answered_after[key] = known.and_one(ended.took_s)
        outcome = CommandOutcome(
            correlation_id=ended.correlation_id, state=ended.state, message=ended.message, at=at
        )
        self._journal.tell(RecordOutcome(outcome=outcome))
        waiter = self._waiters.pop(ended.correlation_id, None)
        if waiter is not None:
            waiter.set(outcome)
        state = msgspec.structs.replace(self._states[key], outcome=outcome)
        self._states[key] = state
        return state

    def _keep(self, key: ActuatorKey, state: ActuatorState) -> None:
        memory = kept(state, self._context.boot_id(), self._context.monotonic())
        self._journal.tell(RecordActuator(key=key, memory=memory))

    def _order(
        self, key: ActuatorKey, state: ActuatorState, transmissions: tuple[Transmission, ...] = ()
    ) -> None:
        self._handles[key].tell(
            Order(view=self._view(key, state), transmissions=transmissions, wake_at=wake_at(state))
        )

    def _view(self, key: ActuatorKey, state: ActuatorState) -> ActuatorView:
        """The view for people, with monotonic times as unix seconds."""
        set_by = self._context.now() - self._context.monotonic()
        pending, hold = state.pending, state.hold
        return ActuatorView(
            config=state.config,
            desired_value=state.desired,
            reported_value=state.reported,
            reported_at=_unix(state.reported_at, set_by),
            emergency=state.emergency,
            on_since=_unix(state.on_since, set_by) if is_energised(state) else None,
            lease_until=_unix(state.lease_until, set_by),
            owner="" if state.generation == 0 else str(state.owner),
            pending_correlation_id="" if pending is None else pending.correlation_id,
            last_outcome=state.outcome,
            answered_after=self._answered_after.get(key, _NOTHING),
            held_by="" if hold is None else hold.by,
            held_until=None if hold is None or math.isinf(hold.until) else hold.until + set_by,
            limit_locked=state.limit_locked,
        )

    def _tell_members(self, key: ActuatorKey, level: float) -> None:
        members = self._context.members(("actuator", key))
        if members:
            event = ActuatorStateChanged(key=key, value=level, at=self._context.now())
            for member in members:
                member.tell(event)

    def _audit(self, who: str, what: str) -> None:
        entry = AuditEntry(at=self._context.now(), who=who, what=what)
        self._journal.tell(RecordAudit(entry=entry))

    # ---- interlocks

    def set_interlocks(self, interlocks: tuple[Interlock, ...]) -> None:
        by_actuator: dict[ActuatorKey, list[Interlock]] = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                by_actuator.setdefault(key, []).append(interlock)
        self.interlocks = interlocks
        self._by_actuator = {key: tuple(entries) for key, entries in by_actuator.items()}
        self._groups = groups_of(interlocks)
        for victim in to_release(interlocks, self.others(interlocks)):
            self._release(victim)

    def is_interlocked(self, key: ActuatorKey) -> bool:
        return key in self._by_actuator

    def interlocks_of(self, key: ActuatorKey) -> tuple[Interlock, ...]:
        """The interlocks that name the actuator."""
        return self._by_actuator.get(key, ())

    def others(self, interlocks: Iterable[Interlock]) -> dict[ActuatorKey, OtherActuator]:
        """The views of the actuators that these interlocks name."""
        found = {}
        for interlock in interlocks:
            for key in (interlock.actuator, interlock.other):
                state = self._states.get(key)
                if state is not None and key not in found:
                    found[key] = as_other(state)
        return found

    # ---- judging

    def facts(
        self, command: Command, stops: SafetyState, now: float, *, link_up: bool, record_ok: bool
    ) -> CommandFacts:
        state = self._states.get(command.key)
        presence = self._devices.get(command.esp_id)
        zone_id = "" if presence is None else presence.zone_id
        interlocks = self._by_actuator.get(command.key, ())
        return CommandFacts(
            stop=stops.covering(command.esp_id, zone_id),
            device=None
            if presence is None
            else DeviceFacts(
                approval=Approval.APPROVED if presence.approved else Approval.PENDING,
                online=presence.online,
                zone_id=zone_id,
            ),
            actuator=None if state is None else facts_of(state, now),
            link_up=link_up,
            automation_held=stops.holds_automation(command.esp_id, zone_id),
            record_ok=record_ok,
            pin_user="" if state is None else state.pin_user,
            interlocks=interlocks,
            others=self.others(interlocks) if interlocks else _NOBODY,
        )


def _unix(at: float | None, set_by: float) -> float | None:
    return None if at is None or at == LONG_AGO else at + set_by


_NOTHING = Latencies()
_NOBODY: Mapping[ActuatorKey, OtherActuator] = {}
