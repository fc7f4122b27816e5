"""Messages to the registrar."""

from __future__ import annotations

from typing import Any

from godkaiser.actors.message import Message
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Calibration,
    Issuer,
    SensorConfig,
    SensorKey,
    Subzone,
)


class RegisterDevice(Message, frozen=True, kw_only=True):
    """Reply: DeviceRecord. Refusals: InvalidDeviceId, DuplicateDevice, DatabaseUnavailable."""

    device_id: str
    issuer: Issuer
    name: str = ""
    board: str = "esp32_wroom"
    zone_id: str = ""


class DecideApproval(Message, frozen=True, kw_only=True):
    """Reply: DeviceRecord. Refusals: UnknownDevice, InvalidTransition."""

    device_id: str
    approved: bool
    issuer: Issuer
    reason: str = ""


class ChangeDevice(Message, frozen=True, kw_only=True):
    """None: unchanged. Reply: DeviceRecord. Refusals: UnknownDevice, InvalidZone, GpioConflict."""

    device_id: str
    issuer: Issuer
    name: str | None = None
    board: str | None = None
    zone_id: str | None = None
    zone_name: str | None = None
    seen: str = ""
    """The digest of the version that its author has read; a change of another version is refused
    (ChangedMeanwhile).
    """


class SaveSubzone(Message, frozen=True, kw_only=True):
    """Create or change. Reply: DeviceRecord. Refusals: UnknownDevice, ValidationFailed."""

    device_id: str
    subzone: Subzone
    issuer: Issuer


class RemoveSubzone(Message, frozen=True, kw_only=True):
    """Reply: DeviceRecord. Refusals: UnknownDevice, UnknownSubzone."""

    device_id: str
    subzone_id: str
    issuer: Issuer


class RemoveSensor(Message, frozen=True, kw_only=True):
    """Reply: None; its readings stay. Refusals: UnknownSensor, StillInUse, DeclaredInFile,
    ChangedMeanwhile.
    """

    key: SensorKey
    issuer: Issuer
    seen: str = ""


class RemoveActuator(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownActuator, StillInUse, DeclaredInFile, CommandRefused (it is on),
    ChangedMeanwhile.
    """

    key: ActuatorKey
    issuer: Issuer
    seen: str = ""


class RemoveDevice(Message, frozen=True, kw_only=True):
    """Reply: None; its readings stay. Refusals: UnknownDevice, StillInUse, DeclaredInFile, ChangedMeanwhile."""

    device_id: str
    issuer: Issuer
    seen: str = ""


class ConfigureSensor(Message, frozen=True, kw_only=True):
    """Create or change. Reply: SensorConfig. Refusals: UnknownDevice, GpioConflict, ..."""

    config: SensorConfig
    issuer: Issuer
    seen: str = ""


class StartCalibration(Message, frozen=True, kw_only=True):
    """Reply: CalibrationSession. Refusals: UnknownSensor, ImplausibleCalibration, InvalidTransition."""

    key: SensorKey
    method: str
    issuer: Issuer


class AddCalibrationPoint(Message, frozen=True, kw_only=True):
    """Reply: CalibrationSession. Refusals: UnknownCalibration, InvalidTransition."""

    key: SensorKey
    session_id: int
    raw: float
    reference: float
    issuer: Issuer
    temperature_c: float | None = None


class ApplyCalibration(Message, frozen=True, kw_only=True):
    """`medium_c` in degrees Celsius. Reply: CalibrationPreview. Refusals: UnknownCalibration,
    InvalidTransition, ImplausibleCalibration.
    """

    key: SensorKey
    session_id: int
    issuer: Issuer
    medium_c: float | None = None
    valid_days: float | None = None
    dry_run: bool = False


class CalibrationPreview(Message, frozen=True, kw_only=True):
    """`readings`: for each point its reference, its value before, and its value with this
    calibration.
    """

    session_id: int
    calibration: Calibration
    dry_run: bool
    readings: tuple[tuple[float, float | None, float | None], ...]


class AbortCalibration(Message, frozen=True, kw_only=True):
    """Reply: CalibrationSession. Refusals: UnknownCalibration, InvalidTransition."""

    key: SensorKey
    session_id: int
    issuer: Issuer


class UndoCalibration(Message, frozen=True, kw_only=True):
    """Restore the calibration before. Reply: CalibrationSession. Refusals: InvalidTransition."""

    key: SensorKey
    issuer: Issuer


class ListCalibrations(Message, frozen=True, kw_only=True):
    """Reply: list[CalibrationSession], newest first. Refusals: UnknownSensor."""

    key: SensorKey


class ConfigureActuator(Message, frozen=True, kw_only=True):
    """Create or change. Reply: ActuatorConfig. Refusals: UnknownDevice, GpioConflict, ..."""

    config: ActuatorConfig
    issuer: Issuer
    seen: str = ""


class SaveRule(Message, frozen=True, kw_only=True):
    """Create (`rule_id` None) or replace. Reply: RuleSaved. Refusals: InvalidRule, UnknownRule,
    DeclaredInFile, ChangedMeanwhile.

    `definition` is a `godkaiser.domain.rules.rules.RuleDefinition`. With `seen`, the digest of the
    version that its author has read, another version is not replaced.
    """

    definition: Any
    issuer: Issuer
    rule_id: int | None = None
    seen: str = ""


class CheckRule(Message, frozen=True, kw_only=True):
    """Check whether the rule would be saved. Reply: list of `godkaiser.domain.rules.rules.Problem`,
    errors first.
    """

    definition: Any
    rule_id: int | None = None


class RuleSaved(Message, frozen=True, kw_only=True):
    """`warnings` are `godkaiser.domain.rules.rules.Problem`s."""

    rule_id: int
    definition: Any
    warnings: tuple[Any, ...] = ()


class TakeDeclared(Message, frozen=True, kw_only=True):
    """Apply the present declarations of the site files. Reply: one line for each change.

    `declared` is a `godkaiser.domain.declared.Declared`. Refusals: StartupFailed (the files
    contradict entries set by REST), DatabaseUnavailable; then nothing has changed.
    """

    declared: Any
    issuer: Issuer


class DeleteRule(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownRule, DeclaredInFile, ChangedMeanwhile."""

    rule_id: int
    issuer: Issuer
    seen: str = ""


class SaveInterlocks(Message, frozen=True, kw_only=True):
    """To /services/registrar: replace all interlocks. Reply: the interlocks.

    `interlocks` are `godkaiser.domain.safety.interlocks.Interlock`. Refusals: ValidationFailed,
    naming every wrong one; DatabaseUnavailable.
    """

    interlocks: tuple[Any, ...]
    issuer: Issuer
    seen: str = ""
