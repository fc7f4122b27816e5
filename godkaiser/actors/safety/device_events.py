"""Converts a device's message into an event of an actuator's state machine; pure."""

from __future__ import annotations

from godkaiser.actors.devices.messages import DeviceReport
from godkaiser.domain.safety import actuator_events as events
from godkaiser.protocol import inbound


def event_of(report: DeviceReport) -> events.ActuatorEvent | None:
    """The event; None if the message is not about one actuator."""
    match report.payload:
        case inbound.ActuatorStatus() as status:
            return events.Reported(
                level=status.level,
                runtime_s=status.runtime_ms / 1000.0,
                emergency=status.emergency,
                heard_at=report.heard_at,
                seq=status.seq,
                redelivered=report.redelivered,
            )
        case inbound.ActuatorResponse() as response:
            return events.Answered(
                correlation_id=response.correlation_id,
                success=response.success,
                message=response.message,
                seq=response.seq,
                redelivered=report.redelivered,
            )
        case inbound.ActuatorAlert() as alert:
            return events.Alerted(
                kind=alert.alert_type, heard_at=report.heard_at, redelivered=report.redelivered
            )
        case _:
            return None
