"""The emergency stops of the safety actor: state, latch, wire and confirmation in one place.

A stop has a fixed order: revoke clearances, send the message, send OFF to each actuator that is not
known off, write the latch to disk, then everything else. A clear has the reverse order: write the
latch to disk, then wait for the barrier, then send.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

import msgspec
import structlog

from godkaiser.actors.safety.clear_evidence import ClearEvidence
from godkaiser.actors.safety.messages import SafetyView
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.safety.stop_progress import SilenceAlarm, StopProgress, Told
from godkaiser.actors.safety.stop_views import stop_view
from godkaiser.actors.safety.stop_wire import StopWire
from godkaiser.actors.safety.stored_latch import StoredLatch
from godkaiser.domain.entities import ActuatorKey, Issuer
from godkaiser.domain.records.checked_record import RecordUnreadable
from godkaiser.domain.safety import latch
from godkaiser.domain.safety import stop_state as safety_state
from godkaiser.domain.safety.actuator_events import StopGiven, StopLifted, SwitchOff
from godkaiser.domain.safety.actuator_state import is_known_off
from godkaiser.domain.safety.stop_confirmation import Confirmation, may_be_cleared
from godkaiser.domain.safety.stop_state import SafetyState, Scope, ScopeKind, StopRecord, StopState
from godkaiser.errors.base import InvalidTransition
from godkaiser.mqtt.gate import CommandGate
from godkaiser.storage.files.record_file import RecordFile

GIVE_AGAIN_S = 5.0
"""Minimum time between two stops, because each stop restarts the 5 s in which a device refuses a
clear.
"""
ON_ITS_WAY_S = 1.0
"""A report this soon after a stop may have been made before it."""
UNCHECKED_UP_TO = 256
"""Up to this number of actuators, all devices are checked at once; above it, one at each report."""
STUBBORN = Issuer("system", "emergency_stop")

HEARD = "broadcast"
"""The issuer kind of a stop that was received on the broadcast topic."""

log = structlog.get_logger("godkaiser.safety")


class EmergencyStops:
    """Used by the safety actor only. Unless the name says otherwise, times are monotonic."""

    def __init__(
        self,
        plant: Plant,
        wire: StopWire,
        gate: CommandGate,
        latch_file: RecordFile[SafetyState],
        clock: Callable[[], tuple[float, float]],
    ) -> None:
        """`clock` gives the wall clock and the monotonic clock."""
        self._plant = plant
        self._wire = wire
        self._gate = gate
        self._latch = StoredLatch(latch_file, self._mark_changed)
        self._clock = clock
        self._last_stop: dict[Scope, float] = {}
        self._progress = StopProgress(plant)
        self._silence = SilenceAlarm(self._progress, self._mark_changed)
        self._freeing: dict[str, str] = {}
        self._evidence = ClearEvidence()
        self._to_read_back: dict[Scope, set[ActuatorKey]] = {}
        self._removed: set[str] = set()
        self.state = SafetyState()
        self.changed = False
        """The view has changed since it was last shown; whoever shows it sets this to False."""

    @property
    def is_recorded(self) -> bool:
        """Whether the latch on disk has the state in force."""
        return self._latch.is_recorded

    def write_again(self) -> None:
        """Write what is in force where that has failed before."""
        self._latch.write_again()

    def check_record(self) -> bool:
        """Look whether what is in force would be found after a restart; whether it would."""
        return self._latch.check()

    @property
    def size(self) -> int:
        """The number of devices in the view."""
        return len(self._progress.waiting) + len(self._progress.confirmed)

    def restore(self, *, mirror_exists: bool) -> None:
        """Read the latch. An unreadable latch, or a missing one that existed before, is a stop."""
        wall, now = self._clock()
        try:
            state = self._latch.read()
        except RecordUnreadable as error:
            state = latch.stopped_in_doubt(str(error), wall)
            self._latch.insist(state)
        if state is None:
            state = SafetyState()
            if mirror_exists:
                state = latch.stopped_in_doubt("the latch file is gone", wall)
            self._latch.insist(state)
        for record in state.records:
            self._last_stop[record.scope] = now
            if record.state is StopState.CLEARING:
                self._progress.clearing[record.scope] = dict.fromkeys(record.clearing)
            elif record.state is StopState.RESUMING:
                self._begin_reading_back(record.scope)
        self._enter(state)

    # ---- stopping

    def stop(self, scope: Scope, issuer: Issuer, reason: str, devices: Iterable[str]) -> None:
        wall, now = self._clock()
        covered = tuple(devices)
        if scope.kind is ScopeKind.GLOBAL and issuer.kind != HEARD:
            self._gate.revoke_all()
            self._wire.broadcast(reason, issuer)
        elif scope.kind is ScopeKind.GLOBAL:
            # Every gateway on this broker receives a broadcast, so answering with another one would
            # never end. The devices have received it; those that need our token are stopped one by
            # one.
            self._gate.revoke_all()
            for device_id in covered:
                self._wire.stop_device(device_id, reason)
        else:
            for device_id in covered:
                self._gate.revoke(device_id)
            for device_id in covered:
                self._wire.stop_device(device_id, reason)
        state = safety_state.stop(self.state, scope, by=str(issuer), reason=reason, now=wall)
        # In force before it is on disk: a full disk must not prevent a stop.
        self.state = state
        self._last_stop[scope] = now
        self._progress.clearing.pop(scope, None)
        self._to_read_back.pop(scope, None)
        for device_id in covered:
            self._freeing.pop(device_id, None)
            self._expect(device_id, now)
        # Send OFF after the stop to actuators that run or may run. The others, whose state is only
        # unknown, can wait for the disk: their OFFs would delay the stop in the broker.
        running: list[ActuatorKey] = []
        others: list[ActuatorKey] = []
        for key in self._plant.keys_of(covered):
            (running if self._plant.runs(key) else others).append(key)
        for key in running:
            self._off(key, now)
        self._latch.insist(state)
        for key in others:
            self._off(key, now)
        self._enter(state)

    def _expect(self, device_id: str, now: float) -> None:
        """Expect a confirmation of the device, by each of its actuators."""
        self._progress.confirmed.pop(device_id, None)
        self._evidence.stop_given(device_id)
        self._progress.waiting[device_id] = Told(now)

    def _off(self, key: ActuatorKey, at: float) -> None:
        """Send OFF after the stop given at `at`, unless the actuator is known off."""
        self._plant.apply(key, StopGiven(correlation_id=str(uuid.uuid4()), at=at))

    def await_absent(self, device_id: str, zone_id: str) -> None:
        """An offline device counts as unconfirmed."""
        record = self.state.covering(device_id, zone_id)
        if record is not None and record.state is StopState.ACTIVE:
            self._progress.waiting.setdefault(device_id, Told(self._clock()[1]))
            self.changed = True

    def stop_returned(self, device_id: str, zone_id: str) -> None:
        """A device returned or is new: if a stop covers it, it is stopped at once."""
        record = self.state.covering(device_id, zone_id)
        if record is None or record.state is not StopState.ACTIVE:
            return
        now = self._clock()[1]
        self._gate.revoke(device_id)
        self._wire.stop_device(device_id, record.reason)
        self._expect(device_id, now)
        for key in self._plant.keys_of((device_id,)):
            self._off(key, now)
        self.changed = True

    def repeat(self) -> bool:
        """Repeat unconfirmed stops and clears; returns whether any are open.

        Raises ServiceUnavailable, at the end: a clear waits for a removed device until the disk takes it.
        """
        self._repeat_broadcast()
        for device_id, told in tuple(self._progress.waiting.items()):
            self._repeat_stop(device_id, told)
        for scope, devices in self._progress.clearing.items():
            for device_id, told_at in tuple(devices.items()):
                if told_at is None:
                    self._pass_barrier(scope, device_id)
                else:
                    self._wire.clear_device(device_id, "repeated")
        self._silence.raise_or_end(self._clock()[1], self._last_stop)
        self._await_removed_no_longer()
        return self._progress.is_open

    def _repeat_broadcast(self) -> None:
        record = self.state.find(safety_state.GLOBAL)
        if (
            record is not None
            and record.state is StopState.ACTIVE
            and not self._progress.confirmed
            and not record.by.startswith(f"{HEARD}:")
        ):
            self._wire.broadcast(record.reason, Issuer("system", "repeat"))

    def _repeat_stop(self, device_id: str, told: Told) -> None:
        record = self.state.covering(device_id, self._plant.zone_of(device_id))
        if record is None or record.state is not StopState.ACTIVE:
            del self._progress.waiting[device_id]
            return
        found = self._progress.confirmation(device_id, told)
        told.attempts += 1
        if found.cannot:
            return
        if not told.heard or self._is_lifted(device_id, found):
            self._wire.stop_device(device_id, record.reason)
            return
        # The device knows of the stop; another stop would only restart the time until it can be
        # cleared.
        for state in found.open:
            if not is_known_off(state):
                off = SwitchOff(correlation_id=str(uuid.uuid4()), issuer=STUBBORN)
                self._plant.apply(state.config.key, off)

    def _is_lifted(self, device_id: str, found: Confirmation) -> bool:
        """Whether it received the stop but reports that none holds it: it rebooted, was
        reconfigured, or somebody cleared it.
        """
        since = self._wire.given_at(device_id) + ON_ITS_WAY_S
        return any(
            state.emergency == "normal" and state.reported_at > since for state in found.open
        )

    def heard(self, device_id: str, at: float, *, redelivered: bool) -> None:
        """The device has shown, by a message received at `at`, that it knows of the stop."""
        if not redelivered:
            self._evidence.stop_shown(device_id, at)
        told = self._progress.waiting.get(device_id)
        if told is not None and not told.heard and at >= told.at:
            told.heard = True
            self.look_at(device_id)

    def lifted(self, device_id: str, at: float) -> None:
        """The device has reported, by a message received at `at`, that it is no longer stopped."""
        told = self._progress.waiting.get(device_id)
        since = (
            told.at if told is not None else self._progress.confirmed.get(device_id, (None, 0.0))[0]
        )
        if since is None or at < since + ON_ITS_WAY_S:
            return
        for key in self._plant.keys_of((device_id,)):
            self._plant.apply(key, StopLifted())
        if told is not None:
            told.heard = False
        self.look_at(device_id)

    def look_at(self, device_id: str) -> None:
        """Check the stops and clears of this device after a change of its state."""
        told = self._progress.waiting.get(device_id)
        if told is not None:
            self.changed = True
            told.heard = told.heard or any(
                state.shown_stopped_at is not None for state in self._plant.of_device(device_id)
            )
            if self._progress.confirmation(device_id, told).confirmed:
                del self._progress.waiting[device_id]
                self._progress.confirmed[device_id] = (told.at, self._clock()[1])
        elif device_id in self._progress.confirmed:
            self._hold_to_it(device_id)
        for scope in tuple(self._progress.clearing):
            self._pass_barrier(scope, device_id)
        self._free_when_off(device_id)

    def _hold_to_it(self, device_id: str) -> None:
        """Stop a device again that had confirmed and was cleared by somebody else, or switched on
        by itself.
        """
        states = self._plant.of_device(device_id)
        if all(state.shown_stopped_at is not None for state in states):
            return
        now = self._clock()[1]
        told_at, _ = self._progress.confirmed.pop(device_id)
        lifted = any(state.emergency == "normal" for state in states)
        self._progress.waiting[device_id] = Told(told_at, heard=not lifted)
        self.changed = True
        record = self.state.covering(device_id, self._plant.zone_of(device_id))
        if record is None or record.state is not StopState.ACTIVE or not lifted:
            return
        log.warning("stop_lifted", device=device_id, reason="by the device or by somebody else")
        if now - self._wire.given_at(device_id) >= GIVE_AGAIN_S:
            self._wire.stop_device(device_id, record.reason)

    # ---- clearing

    def begin_clear(self, scope: Scope, issuer: Issuer, reachable: Iterable[str]) -> None:
        """Raises NoEmergencyStop, ClearLockedOut, InvalidTransition, ServiceUnavailable."""
        targets = tuple(reachable)
        state = self.cleared(scope, issuer, targets)
        self._latch.write(state)
        self._progress.clearing[scope] = dict.fromkeys(targets)
        self._progress.clear_confirmed[scope] = {}
        for device_id in targets:
            self._progress.waiting.pop(device_id, None)
            self._progress.confirmed.pop(device_id, None)
        self._enter(state)
        for device_id in targets:
            self._pass_barrier(scope, device_id)
        if not targets:
            del self._progress.clearing[scope]
            self._begin_reading_back(scope)
        self._note_cleared(targets)

    def cleared_at(self, device_id: str) -> float | None:
        """When we last cleared a stop of this device, or when it last confirmed a clear."""
        return self._evidence.cleared_at(device_id)

    def _note_cleared(self, devices: Iterable[str]) -> None:
        self._evidence.note_cleared(devices, self._clock()[1])

    def cleared(self, scope: Scope, issuer: Issuer, reachable: Iterable[str]) -> SafetyState:
        """The state after a clear. Raises as `begin_clear`."""
        wall, now = self._clock()
        return safety_state.begin_clear(
            self.state,
            scope,
            by=str(issuer),
            now=wall,
            age_s=now - self._last_stop.get(scope, now),
            reachable=reachable,
        )

    def _pass_barrier(self, scope: Scope, device_id: str) -> None:
        """Send the clear to a device as soon as no energising command can be on its way to it."""
        devices = self._progress.clearing.get(scope, {})
        if device_id not in devices or devices[device_id] is not None:
            return
        if not self._plant.is_online(device_id):
            return
        if may_be_cleared(self._plant.of_device(device_id)):
            devices[device_id] = self._clock()[1]
            self.changed = True
            self._wire.clear_device(device_id, "cleared")

    def accepted(self, scope: Scope, issuer: Issuer) -> SafetyState:
        """The state after accepting the unconfirmed devices. Raises NoEmergencyStop,
        InvalidTransition.
        """
        return safety_state.accept_unconfirmed(
            self.state,
            scope,
            by=str(issuer),
            now=self._clock()[0],
            unconfirmed=self._progress.clearing.get(scope, {}),
        )

    def accept_unconfirmed(self, scope: Scope, issuer: Issuer) -> None:
        """Clear without the barrier, on the operator's responsibility: the devices are sent the
        clear at once, offline ones when they return.

        Raises NoEmergencyStop, InvalidTransition, ServiceUnavailable.
        """
        state = self.accepted(scope, issuer)
        self._latch.write(state)
        devices = tuple(self._progress.clearing.pop(scope, ()))
        self._enter(state)
        self._evidence.owe(devices)
        for device_id in devices:
            self.clear_what_is_owed(device_id)
        self._begin_reading_back(scope)
        self._note_cleared(devices)

    def owes_clear(self, device_id: str) -> bool:
        """Whether an operator has accepted the clear of this device, and the device has not
        confirmed it yet.
        """
        return self._evidence.owes(device_id)

    def clear_what_is_owed(self, device_id: str) -> None:
        """Send the clear to a device whose clear was accepted without its confirmation."""
        if self._plant.is_online(device_id) and self._evidence.is_to_be_told(
            device_id, self._clock()[1]
        ):
            self._wire.clear_device(device_id, "accepted")

    def confirm_clear(self, device_id: str, heard_at: float, *, is_answer: bool) -> None:
        """The device reports that no stop holds it, in its answer to a clear or in a report of an
        actuator.

        Raises ServiceUnavailable; then the stop stays in CLEARING.
        """
        if not self._progress.clearing and not self._evidence.owes(device_id):
            # As for nearly every report.
            return
        states = self._plant.of_device(device_id)
        if is_answer or all(state.emergency == "normal" for state in states):
            self._evidence.settle(device_id)
        for scope, devices in tuple(self._progress.clearing.items()):
            told_at, stop_at = devices.get(device_id), self._last_stop.get(scope, 0.0)
            if told_at is None or heard_at < told_at:
                continue
            if is_answer:
                confirms = self._evidence.answer_confirms(
                    device_id, stop_at=stop_at, heard_at=heard_at
                )
            else:
                confirms = self._evidence.reports_confirm(
                    device_id, states, stop_at=stop_at, told_at=told_at
                )
            if not confirms:
                continue
            self._note_cleared((device_id,))
            self._progress.clear_confirmed.setdefault(scope, {})[device_id] = self._clock()[1]
            self.changed = True
            if len(devices) > 1:
                del devices[device_id]
            else:
                self._end_clearing(scope)

    def _end_clearing(self, scope: Scope) -> None:
        """Raises ServiceUnavailable."""
        state = safety_state.cleared(self.state, scope)
        self._latch.write(state)
        del self._progress.clearing[scope]
        self._enter(state)
        self._begin_reading_back(scope)

    # ---- resuming

    def _begin_reading_back(self, scope: Scope) -> None:
        since = self._last_stop.get(scope, 0.0)
        self._to_read_back[scope] = {
            state.config.key
            for device_id in self._plant.covered(scope)
            if self._plant.is_online(device_id)
            for state in self._plant.of_device(device_id)
            if state.reported_at < since
        }

    def read_back(self, key: ActuatorKey) -> None:
        for keys in self._to_read_back.values():
            keys.discard(key)

    def resumable(self) -> list[StopRecord]:
        """Stops that can end now: every actuator of an online device has reported its state since."""
        if not self._to_read_back:
            return []
        found = []
        for scope, keys in tuple(self._to_read_back.items()):
            if len(keys) < UNCHECKED_UP_TO:
                keys -= {key for key in keys if not self._plant.is_online(key.esp_id)}
            record = self.state.find(scope)
            if record is None or record.state is not StopState.RESUMING:
                del self._to_read_back[scope]
            elif not keys:
                found.append(record)
        return found

    def finish_resume(self, scope: Scope) -> None:
        """Raises ServiceUnavailable."""
        state = safety_state.finish_resume(self.state, scope)
        self._latch.write(state)
        self._to_read_back.pop(scope, None)
        self._last_stop.pop(scope, None)
        self._enter(state)

    def resume_automation(self, scope: Scope) -> None:
        """Raises InvalidTransition, ServiceUnavailable."""
        state = safety_state.resume_automation(self.state, scope)
        self._latch.write(state)
        self._enter(state)

    # ---- a device that is removed

    def forget(self, device_id: str) -> None:
        """Nobody waits for it any more. Raises ServiceUnavailable: a clear still does; `repeat` tries again."""
        self._progress.waiting.pop(device_id, None)
        self._progress.confirmed.pop(device_id, None)
        self._freeing.pop(device_id, None)
        self._evidence.forget(device_id)
        for keys in self._to_read_back.values():
            keys -= {key for key in keys if key.esp_id == device_id}
        self.changed = True
        self._removed.add(device_id)
        try:
            self._await_removed_no_longer()
        finally:
            self._silence.raise_or_end(self._clock()[1], self._last_stop)

    def _await_removed_no_longer(self) -> None:
        """Raises ServiceUnavailable."""
        for device_id in tuple(self._removed):
            # It may have been registered again meanwhile: then it confirms by itself.
            gone = self._plant.device(device_id) is None
            for record in self.state.records if gone else ():
                if device_id not in record.clearing:
                    continue
                devices = self._progress.clearing.get(record.scope, {})
                if list(devices) == [device_id]:
                    self._end_clearing(record.scope)
                    continue
                # Also one that has confirmed: after a restart all are asked again.
                state = safety_state.without(self.state, record.scope, device_id)
                self._latch.write(state)
                devices.pop(device_id, None)
                self._enter(state)
            self._removed.discard(device_id)

    # ---- devices that are locked by their own runtime limit

    def free_device(self, device_id: str, reason: str) -> None:
        """Clear a device that no stop covers. Raises InvalidTransition if one covers it."""
        if self.state.covering(device_id, self._plant.zone_of(device_id)) is not None:
            text = f"A stop covers {device_id}; clear that stop."
            raise InvalidTransition(reason=text)
        self._note_cleared((device_id,))
        for state in self._plant.of_device(device_id):
            if not is_known_off(state) and not state.limit_locked:
                self._plant.switch_off(state.config.key, STUBBORN)
        self._freeing[device_id] = reason or "cleared"
        self._free_when_off(device_id)

    def _free_when_off(self, device_id: str) -> None:
        """A clear unlocks all actuators of a device, so the others must first answer an OFF."""
        if device_id in self._freeing and not any(
            state.sent for state in self._plant.of_device(device_id)
        ):
            self._wire.clear_device(device_id, self._freeing.pop(device_id))

    # ---- showing

    def view(self) -> SafetyView:
        return self._view(self.state)

    def preview(self, state: SafetyState) -> SafetyView:
        """The view of `state`, without entering it."""
        return msgspec.structs.replace(self._view(state), dry_run=True)

    def _view(self, state: SafetyState) -> SafetyView:
        wall, now = self._clock()
        # The two clocks are read one after the other: the same moment is shown the same each time.
        set_by = round(wall - now, 2)
        return SafetyView(
            state=state.strictest.value,
            alarm="; ".join(filter(None, self._alarms())),
            latched=self.is_recorded,
            automation_held=tuple(str(scope) for scope in state.held),
            stops=tuple(
                stop_view(record, self._progress, set_by, in_force=record in self.state.records)
                for record in state.records
            ),
        )

    def _alarms(self) -> tuple[str, ...]:
        # The alarm of an unconfirmed stop already names the actuators that are on.
        return self._latch.alarm, self._silence.text or self._plant.stays_on.alarm

    def next_alarm_in_s(self) -> float:
        """Seconds until the alarm for a silent device is due; infinity: no device is awaited."""
        return self._silence.next_in_s(self._clock()[1])

    def _mark_changed(self) -> None:
        self.changed = True

    def _enter(self, state: SafetyState) -> None:
        self.state = state
        self._silence.end_if_confirmed()
        self.changed = True
