"""The messages from devices, as typed structs (contract, sections 3 to 17).

Only fields that a device must send are required, and unknown fields are ignored. `tolerance.py`
brings the spellings of older firmware and of tools to one form before a struct is made.
"""

from __future__ import annotations

from typing import Any

import msgspec


class DeviceMessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all payloads; `esp_id` is empty if the device does not send it."""

    esp_id: str = ""


class Heartbeat(DeviceMessageBody, frozen=True, kw_only=True):
    ts: float = 0.0
    uptime: int
    heap_free: int
    wifi_rssi: int
    zone_id: str = ""
    master_zone_id: str = ""
    zone_assigned: bool = False
    time_valid: bool | None = None
    boot_sequence_id: str = ""
    reset_reason: str = ""
    sensor_count: int | None = None
    actuator_count: int | None = None
    wifi_ip: str = ""
    active_handover_epoch: int = 0
    handover_completed_epoch: int = 0
    persistence_degraded: bool = False
    runtime_state_degraded: bool = False
    config_status: dict[str, Any] = {}


class SessionAnnounce(DeviceMessageBody, frozen=True, kw_only=True):
    handover_epoch: int
    reason: str = ""


class Will(DeviceMessageBody, frozen=True, kw_only=True):
    status: str
    reason: str = ""
    timestamp: float = 0.0


class SensorData(DeviceMessageBody, frozen=True, kw_only=True):
    sensor_type: str
    raw: float
    ts: float = 0.0
    gpio: int = 0
    seq: int | None = None
    value: float | None = None
    unit: str = ""
    quality: str = "unknown"
    time_valid: bool | None = None
    raw_mode: bool = True
    zone_id: str = ""
    subzone_id: str = ""
    onewire_address: str = ""
    i2c_address: int | None = None


class SensorResponse(DeviceMessageBody, frozen=True, kw_only=True):
    request_id: str
    success: bool
    reason_code: str = "NONE"


class ActuatorStatus(DeviceMessageBody, frozen=True, kw_only=True):
    """`pwm` is the device's value, 0 to 255; `level` is the same as a fraction."""

    state: bool
    ts: float = 0.0
    type: str = ""
    pwm: int = 0
    runtime_ms: int = 0
    emergency: str = "normal"
    command_source: str = ""
    seq: int | None = None

    @property
    def level(self) -> float:
        if not self.state:
            return 0.0
        return self.pwm / 255.0 if self.pwm else 1.0


class ActuatorResponse(DeviceMessageBody, frozen=True, kw_only=True):
    success: bool
    command: str = "UNKNOWN"
    value: float = 0.0
    duration: float = 0.0
    message: str = ""
    correlation_id: str = ""
    issued_by: str = ""
    ts: float = 0.0
    seq: int | None = None


class ActuatorAlert(DeviceMessageBody, frozen=True, kw_only=True):
    alert_type: str
    message: str = ""
    ts: float = 0.0
    seq: int | None = None


class EmergencyAck(DeviceMessageBody, frozen=True, kw_only=True):
    command: str = "emergency_stop"
    correlation_id: str = ""
    outcome: str = ""
    gpio_count: int = 0


class EmergencyResponse(DeviceMessageBody, frozen=True, kw_only=True):
    status: str


class EmergencyError(DeviceMessageBody, frozen=True, kw_only=True):
    error: str
    message: str = ""


class RecoveryConfirm(DeviceMessageBody, frozen=True, kw_only=True):
    state: str
    correlation_id: str = ""


class ConfigResponse(DeviceMessageBody, frozen=True, kw_only=True):
    status: str
    type: str
    count: int = 0
    failed_count: int = 0
    message: str = ""
    error_code: str = "NONE"
    failed_item: dict[str, Any] = {}
    failures: list[dict[str, Any]] = []
    correlation_id: str = ""


class PlacementAck(DeviceMessageBody, frozen=True, kw_only=True):
    """The answer to an assignment of a zone or subzone; `error_code` is a number here."""

    status: str = ""
    zone_id: str = ""
    subzone_id: str = ""
    message: str = ""
    reason_code: str = ""
    error_code: int = 0
    correlation_id: str = ""


class IntentOutcome(DeviceMessageBody, frozen=True, kw_only=True):
    outcome: str
    flow: str = "unknown"
    intent_id: str = ""
    correlation_id: str = ""
    code: str = "NONE"
    reason: str = ""
    retryable: bool = False


class ErrorEvent(DeviceMessageBody, frozen=True, kw_only=True):
    error_code: int
    severity: int | str = 2
    category: str = "UNKNOWN"
    message: str = ""
    context: dict[str, Any] = {}
    ts: float = 0.0


class Lifecycle(DeviceMessageBody, frozen=True, kw_only=True):
    """A device enters or leaves CONFIG_PENDING; other payloads on this topic become `Observed`."""

    schema: str
    event_type: str
    reason_code: str = ""
    trigger_source: str = ""
    state_before: str = ""
    state_after: str = ""
    readiness_decision: str = ""
    boot_sequence_id: str = ""
    ts: float = 0.0


class Observed(DeviceMessageBody, frozen=True, kw_only=True):
    """A message that is kept unchanged for display: diagnostics, metrics, life cycle."""

    fields: dict[str, Any] = {}
