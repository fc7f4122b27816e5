"""Decides what a device's message proves about its emergency stop (contract, 11.3 to 11.6)."""

from __future__ import annotations

from enum import Enum

from godkaiser.protocol import inbound

_STOP_CODES = frozenset({"EMERGENCY_STOP_TRIGGERED", "BROADCAST_EMERGENCY_STOP_TRIGGERED"})


class Evidence(Enum):
    NONE = "none"
    STOPPED = "stopped"
    TOLD = "told"
    """The device has received the stop; its actuators' own reports must show that they are off."""
    CLEARED = "cleared"


def of(payload: object) -> Evidence:
    match payload:
        case inbound.ActuatorStatus(emergency="active", level=0.0):
            return Evidence.STOPPED
        case inbound.ActuatorStatus(emergency="normal"):
            return Evidence.CLEARED
        case inbound.ActuatorAlert(alert_type="emergency_stop"):
            return Evidence.STOPPED
        case inbound.EmergencyAck():
            return Evidence.TOLD
        case inbound.IntentOutcome(code=code) if code in _STOP_CODES:
            return Evidence.TOLD
        case inbound.EmergencyResponse(status="emergency_cleared"):
            return Evidence.CLEARED
        case inbound.RecoveryConfirm(state="cleared"):
            return Evidence.CLEARED
        case _:
            return Evidence.NONE
