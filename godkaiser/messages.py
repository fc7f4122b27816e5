"""What actors and the API say to each other when more than one place must know the words.

Messages are frozen. Imperative names ask for something (`ApplyCommand`), past names tell what
happened (`ReadingAccepted`). A message that is *asked* names its reply in the docstring; refusals
come back as the errors of `godkaiser.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    Calibration,
    Command,
    DeviceRecord,
    Issuer,
    Reading,
    SensorConfig,
    SensorKey,
    Subzone,
)
from godkaiser.domain.records.latency import Latencies


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages: frozen, compared by value."""


# To /services/registrar: the one writer of what the gateway is configured to have


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
    """None: as it is. Reply: DeviceRecord. Refusals: UnknownDevice, InvalidZone, GpioConflict."""

    device_id: str
    issuer: Issuer
    name: str | None = None
    board: str | None = None
    zone_id: str | None = None
    zone_name: str | None = None
    seen: str = ""
    """The digest of what its author has read; then something else is refused (ChangedMeanwhile)."""


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
    """Reply: None; its readings stay. Refusals: UnknownSensor, StillInUse, DeclaredInFile."""

    key: SensorKey
    issuer: Issuer


class RemoveActuator(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownActuator, StillInUse, DeclaredInFile, CommandRefused (it is on)."""

    key: ActuatorKey
    issuer: Issuer


class RemoveDevice(Message, frozen=True, kw_only=True):
    """Reply: None; its readings stay. Refusals: UnknownDevice, StillInUse, DeclaredInFile."""

    device_id: str
    issuer: Issuer


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
    """`readings`: of each point its reference, what it read before, and what it reads with this."""

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
    """The calibration of before holds again. Reply: CalibrationSession. Refusals: InvalidTransition."""

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

    `definition` is a `godkaiser.domain.rules.rules.RuleDefinition`. With `seen`, the digest of the text that
    its author has seen, another text is not replaced.
    """

    definition: Any
    issuer: Issuer
    rule_id: int | None = None
    seen: str = ""


class CheckRule(Message, frozen=True, kw_only=True):
    """Would it be saved? Reply: list of `godkaiser.domain.rules.rules.Problem`, errors first."""

    definition: Any
    rule_id: int | None = None


class RuleSaved(Message, frozen=True, kw_only=True):
    """`warnings` are `godkaiser.domain.rules.rules.Problem`s."""

    rule_id: int
    definition: Any
    warnings: tuple[Any, ...] = ()


class TakeDeclared(Message, frozen=True, kw_only=True):
    """Take in what the site files declare now. Reply: what has changed, a line each.

    `declared` is a `godkaiser.domain.declared.Declared`. Refusals: StartupFailed (the files contradict
    what was set by REST), DatabaseUnavailable; then nothing has changed.
    """

    declared: Any
    issuer: Issuer


class DeleteRule(Message, frozen=True, kw_only=True):
    """Reply: None. Refusals: UnknownRule, DeclaredInFile."""

    rule_id: int
    issuer: Issuer


# To /control/devices/<id>


class SubmitReading(Message, frozen=True, kw_only=True):
    """A reading by REST: `raw` to be converted, or a final `value`. Reply: Reading, when stored.

    Refusals: UnknownSensor, ValueOutOfRange, DeviceNotApproved.
    """

    key: SensorKey
    raw: float | None
    value: float | None
    at: float | None
    issuer: Issuer


class SubmitBatch(Message, frozen=True, kw_only=True):
    """Readings of one device by REST. Reply: for each in its order a GatewayError, or a future that has
    the Reading once it is stored.
    """

    readings: tuple[SubmitReading, ...]


class SendSystemCommand(Message, frozen=True, kw_only=True):
    """Reply: the correlation id, when it is sent. With `outcome_to`, the answer is delivered there.

    Refusals: DeviceOffline, DeviceNotApproved, DeviceBusy, BrokerUnavailable.
    """

    verb: str
    parameters: dict[str, Any]
    issuer: Issuer
    outcome_to: Any = None


class MeasureNow(Message, frozen=True, kw_only=True):
    """Measure on demand. Reply and refusals: as of SendSystemCommand."""

    gpio: int
    issuer: Issuer
    outcome_to: Any = None


class SwitchSafeMode(Message, frozen=True, kw_only=True):
    """Put the pins of a subzone into safe mode (to /control/devices/<id>), or take them out (to
    /control/safety/guard, which passes it on). Reply: None: sent. Refusals: UnknownSubzone, DeviceOffline, EmergencyStopActive.

    The device answers only when it fails; then the placement of the device shows it.
    """

    device_id: str
    subzone_id: str
    enable: bool
    reason: str
    issuer: Issuer


# To /safety


class RequestCommand(Message, frozen=True, kw_only=True):
    """Ask for an actuator to be moved. Reply: `godkaiser.domain.safety.safety.Verdict`, at once.

    A verdict that does not allow is a reply, not an error. With `outcome_to` (any object with
    `set(CommandOutcome)`), the device's answer is delivered there when it is known. `verdict_to` is the
    handle of an actor that does not wait for the reply: it is told CommandJudged.
    """

    command: Command
    outcome_to: Any = None
    verdict_to: Any = None


class CommandJudged(Message, frozen=True, kw_only=True):
    """To the `verdict_to` of a RequestCommand: the verdict in short; `code` and `message` of a refusal."""

    correlation_id: str
    allowed: bool
    code: str = ""
    message: str = ""


class ExplainCommand(Message, frozen=True, kw_only=True):
    """What would be the verdict on this command now? Reply: Verdict; nothing else happens."""

    command: Command


class HoldActuator(Message, frozen=True, kw_only=True):
    """A person takes an actuator: rules do not energise it for `seconds`, None: until released.

    `seconds` 0 releases it. Reply: HoldView. Refusals: UnknownActuator.
    """

    key: ActuatorKey
    seconds: float | None
    issuer: Issuer


class HoldView(Message, frozen=True, kw_only=True):
    """`until` in unix seconds, None: until it is released; `held` False: nobody holds it."""

    esp_id: str
    gpio: int
    held: bool
    by: str = ""
    until: float | None = None


class SaveInterlocks(Message, frozen=True, kw_only=True):
    """To /services/registrar: replace all interlocks. Reply: the interlocks.

    `interlocks` are `godkaiser.domain.safety.interlocks.Interlock`. Refusals: ValidationFailed, naming
    every one that is wrong; DatabaseUnavailable.
    """

    interlocks: tuple[Any, ...]
    issuer: Issuer
    seen: str = ""


class CommandOutcome(Message, frozen=True, kw_only=True):
    """How a command ended: confirmed, failed, timed_out, superseded or refused."""

    correlation_id: str
    state: str
    message: str = ""
    at: float = 0.0


class StopAll(Message, frozen=True, kw_only=True):
    """Emergency stop of everything (`esp_id` and `zone_id` None), of a zone or of one device.

    Reply: SafetyView, after the stop is on the wire and latched on disk. Never refused.
    With `dry_run`, the SafetyView that it would lead to, here and below.
    """

    issuer: Issuer
    reason: str
    esp_id: str | None = None
    zone_id: str | None = None
    dry_run: bool = False


class ClearStop(Message, frozen=True, kw_only=True):
    """Begin to clear a stop; nothing is energised. Reply: SafetyView.

    `accept_unconfirmed` ends a clear whose devices do not all answer.
    Refusals: NoEmergencyStop, ClearLockedOut, InvalidTransition.
    """

    issuer: Issuer
    reason: str = ""
    esp_id: str | None = None
    zone_id: str | None = None
    accept_unconfirmed: bool = False
    dry_run: bool = False


class ResumeAutomation(Message, frozen=True, kw_only=True):
    """Let rules act again after a stop. Reply: SafetyView. Refusals: InvalidTransition."""

    issuer: Issuer
    esp_id: str | None = None
    zone_id: str | None = None
    dry_run: bool = False


class PrepareShutdown(Message, frozen=True, kw_only=True):
    """Energise nothing more, and switch off what is to be off while the gateway is away.

    Reply: the number of actuators that were told.
    """


# What actors publish for everybody to read without asking (see ActorContext.publish)


class DeviceView(Message, frozen=True, kw_only=True):
    """Published by /control/devices/<id> as "view"; readings as the SensorKey each."""

    record: DeviceRecord
    online: bool = False
    last_seen: float | None = None
    uptime_s: int | None = None
    heap_free: int | None = None
    wifi_rssi: int | None = None
    wifi_ip: str = ""
    firmware_state: int | None = None
    sensor_count: int | None = None
    actuator_count: int | None = None
    config_sync: str = "unknown"
    config_error: str = ""
    placement_sync: str = "unknown"
    placement_error: str = ""
    reported_zone: str | None = None
    health: int = 0
    health_reasons: tuple[str, ...] = ()
    sensors: tuple[SensorConfig, ...] = ()


class ActuatorView(Message, frozen=True, kw_only=True):
    """Published by each actuator actor as "view"; `reported_value` None means unknown."""

    config: ActuatorConfig
    desired_value: float = 0.0
    reported_value: float | None = None
    reported_at: float | None = None
    emergency: str = "unknown"
    on_since: float | None = None
    lease_until: float | None = None
    owner: str = ""
    pending_correlation_id: str = ""
    last_outcome: CommandOutcome | None = None
    answered_after: Latencies = Latencies()
    """From a command on the wire to the device's answer."""
    limit_locked: bool = False
    """The device holds it after its own runtime limit, until the device is cleared."""


class StopView(Message, frozen=True, kw_only=True):
    """`told_at` and `confirmed_at` (unix seconds) are of the stop while it is active, then of the clear.

    `unconfirmed_actuators` (`ESP_4F3A9C/25`) have not shown that they are stopped; `cannot_confirm` names
    devices that will not show it, each with the reason.
    """

    scope: str
    state: str
    since: float
    by: str
    reason: str
    confirmed: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    clearing: tuple[str, ...] = ()
    told_at: Mapping[str, float] = {}
    confirmed_at: Mapping[str, float] = {}
    unconfirmed_actuators: tuple[str, ...] = ()
    cannot_confirm: Mapping[str, str] = {}


class StopInputView(Message, frozen=True, kw_only=True):
    """`demand` is empty while the input is released; `raw` None while it has not been heard."""

    input: str
    stops: str
    raw: float | None
    demand: str
    where: str


class SafetyView(Message, frozen=True, kw_only=True):
    """Published by the safety actor as "view"; `state` is the strictest of all scopes. `latched`: the
    disk has what holds.
    """

    state: str
    stops: tuple[StopView, ...] = ()
    alarm: str = ""
    latched: bool = True
    automation_held: tuple[str, ...] = ()
    dry_run: bool = False


class RuleView(Message, frozen=True, kw_only=True):
    """Published by /control/rules/<id> as "view"; `definition` is a RuleDefinition, `findings` say how its
    conditions came out last, `sequence` where a sequence stands, `refused` why safety does not let it fire
    now, `doubt` why its last dose may or may not have been given.
    """

    rule_id: int
    definition: Any
    truth: str = "unknown"
    last_evaluated: float | None = None
    last_fired: float | None = None
    fired_count: int = 0
    last_result: str = ""
    suspended: str = ""
    sequence: str = ""
    refused: str = ""
    doubt: str = ""
    findings: tuple[Any, ...] = ()


class LinkView(Message, frozen=True, kw_only=True):
    """Published by /control/link/broker as "view". `rivals`: how often in a row another client took one of
    our client ids.
    """

    connected: bool
    address: str
    since: float
    last_error: str = ""
    rivals: int = 0


class RecorderView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/recorder as "view"; `warning` is for an admin, and stays."""

    stored: int = 0
    spooled: int = 0
    duplicates: int = 0
    batches: int = 0
    waiting: int = 0
    last_commit_ms: float = 0.0
    stored_after: Latencies = Latencies()
    """Of the oldest of each group: from its arrival to its commit."""
    last_error: str = ""
    warning: str = ""
    behind_s: float = 0.0
    """How much later readings arrive than at their best; the broker keeps them meanwhile."""
    overload: str = ""
    """What to tell while that is too much."""


class SpoolView(Message, frozen=True, kw_only=True):
    """Published by /control/storage/spool as "view".

    `state`: idle (nothing waits), away (the database takes nothing), replaying, or blocked (what
    waits cannot be replayed; `last_error` says why). `alarm` is 0, 50, 80 or 95 percent. `readings`
    and `journal` are records that wait; `replayed` and `dropped` count since the process started.
    """

    state: str = "idle"
    bytes: int = 0
    max_bytes: int = 0
    percent: float = 0.0
    alarm: int = 0
    readings: int = 0
    journal: int = 0
    replayed: int = 0
    dropped: int = 0
    last_error: str = ""


# Events that several actors listen to


class ReadingAccepted(Message, frozen=True, kw_only=True):
    reading: Reading


class ActuatorStateChanged(Message, frozen=True, kw_only=True):
    key: ActuatorKey
    value: float | None
    at: float
