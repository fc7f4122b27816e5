"""What people ask of the stops: who is meant, whether it may be, and what it would lead to.

Used by the safety actor only.
"""

from __future__ import annotations

from godkaiser import paths
from godkaiser.actors.safety.emergency_stops import EmergencyStops
from godkaiser.actors.safety.messages import ClearStop, ResumeAutomation, SafetyView, StopAll
from godkaiser.actors.safety.plant import Plant
from godkaiser.domain.safety import stop_state as safety_state
from godkaiser.domain.safety.actuator_state import is_unanswered_on
from godkaiser.domain.safety.stop_state import (
    SafetyState,
    Scope,
    ScopeKind,
    held_by_another,
    scope_of,
)
from godkaiser.errors.base import ValidationFailed
from godkaiser.errors.devices import UnknownDevice
from godkaiser.errors.safety import StopInputPressed
from godkaiser.supervision import ActorContext


class StopService:
    def __init__(self, context: ActorContext, plant: Plant, stops: EmergencyStops) -> None:
        self._context = context
        self._plant = plant
        self._stops = stops

    def check_stop(self, message: StopAll) -> None:
        """Raises UnknownDevice, ValidationFailed: it would stop nothing."""
        scope = scope_of(message.esp_id, message.zone_id)
        if scope.kind is ScopeKind.DEVICE and self._plant.device(scope.name) is None:
            raise UnknownDevice(device_id=scope.name)
        if scope.kind is ScopeKind.ZONE and not self._plant.covered(scope):
            # A mistyped zone must not look like a stop that worked.
            reason = (
                f"No device is in zone '{scope.name}', so nothing was stopped. Stop everything?"
            )
            raise ValidationFailed(reason=reason)

    def would_stop(self, message: StopAll) -> SafetyView:
        scope = scope_of(message.esp_id, message.zone_id)
        return self._stops.preview(
            safety_state.stop(
                self._stops.state, scope, by=str(message.issuer), reason=message.reason,
                now=self._context.now(),
            )
        )  # fmt: skip

    def check_clear(self, message: ClearStop) -> None:
        """Raises StopInputPressed."""
        demands = self._context.look(paths.STOP_INPUTS, "demands") or {}
        pressed = demands.get(scope_of(message.esp_id, message.zone_id))
        if pressed is not None:
            raise StopInputPressed(reason=pressed.reason)

    def would_clear(self, message: ClearStop) -> SafetyView:
        """Raises as the clear does."""
        return self._stops.preview(self._cleared(message))

    def clear(self, message: ClearStop) -> bool:
        """Whether devices have to confirm it. Raises as `EmergencyStops.begin_clear`,
        `EmergencyStops.accept_unconfirmed` and `EmergencyStops.free_device`.
        """
        scope = scope_of(message.esp_id, message.zone_id)
        if message.accept_unconfirmed:
            self._stops.accept_unconfirmed(scope, message.issuer)
            return False
        if self._is_only_limited(scope):
            self._stops.free_device(scope.name, message.reason)
            return False
        self._stops.begin_clear(scope, message.issuer, self._to_be_cleared(scope))
        return True

    def would_resume(self, message: ResumeAutomation) -> SafetyView:
        scope = scope_of(message.esp_id, message.zone_id)
        return self._stops.preview(safety_state.resume_automation(self._stops.state, scope))

    def _to_be_cleared(self, scope: Scope) -> list[str]:
        return [
            device_id
            for device_id in self._plant.covered(scope)
            if (self._plant.is_online(device_id) or self._may_run(device_id))
            # One clear on the wire ends every stop of a device.
            and not held_by_another(
                self._stops.state, scope, device_id, self._plant.zone_of(device_id)
            )
        ]

    def _may_run(self, device_id: str) -> bool:
        """A device that is not there, and has not shown that what ran on it is off: it has to confirm when
        it returns, or an operator answers for it.
        """
        states = self._plant.of_device(device_id)
        return any(state.on_since is not None or is_unanswered_on(state) for state in states)

    def _cleared(self, message: ClearStop) -> SafetyState:
        scope = scope_of(message.esp_id, message.zone_id)
        if message.accept_unconfirmed:
            return self._stops.accepted(scope, message.issuer)
        return self._stops.cleared(scope, message.issuer, self._to_be_cleared(scope))

    def _is_only_limited(self, scope: Scope) -> bool:
        """A device that no stop covers, with an actuator that its own runtime limit holds."""
        return (
            scope.kind is ScopeKind.DEVICE
            and self._stops.state.covering(scope.name, self._plant.zone_of(scope.name)) is None
            and any(state.limit_locked for state in self._plant.of_device(scope.name))
        )
