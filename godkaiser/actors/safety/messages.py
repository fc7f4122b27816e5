"""Messages to the safety actor and from the actors of the actuators, and their views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godkaiser.actors.message import Message
from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, Command, Issuer
from godkaiser.domain.records.latency import Latencies
from godkaiser.mqtt.gate import Fate

OVERTAKEN = "a stop or a newer decision came first, or it was too old"
"""Why a command was withheld."""


class CommandFate(Message, frozen=True, kw_only=True):
    """The link reports the fate of a command."""

    key: ActuatorKey
    correlation_id: str
    fate: Fate


class CommandNotSent(Message, frozen=True, kw_only=True):
    """A command was not sent: `state` is the outcome, refused or failed."""

    key: ActuatorKey
    correlation_id: str
    state: str
    reason: str


class ActuatorDue(Message, frozen=True, kw_only=True):
    """The timer of an actuator has fired."""

    key: ActuatorKey


class ShellStarted(Message, frozen=True, kw_only=True):
    """The actor of an actuator was restarted after a crash; its last order may be incomplete."""

    key: ActuatorKey


class SwitchSafeMode(Message, frozen=True, kw_only=True):
    """Put the pins of a subzone into safe mode (to /control/devices/<id>), or out of it (to
    /control/safety/guard, which passes it on). Reply: None, when it is sent. Refusals:
    UnknownSubzone, DeviceOffline, EmergencyStopActive.

    The device answers only when it fails; then the placement of the device shows it.
    """

    device_id: str
    subzone_id: str
    enable: bool
    reason: str
    issuer: Issuer


class RequestCommand(Message, frozen=True, kw_only=True):
    """Request a command to an actuator. Reply: `godkaiser.domain.safety.safety.Verdict`, at once.

    A refusing verdict is a reply, not an error. With `outcome_to` (any object with
    `set(CommandOutcome)`), the device's answer is delivered there when it is known. `verdict_to` is
    the handle of an actor that is told CommandJudged instead of waiting for the reply.
    """

    command: Command
    outcome_to: Any = None
    verdict_to: Any = None


class CommandJudged(Message, frozen=True, kw_only=True):
    """To the `verdict_to` of a RequestCommand: the verdict in short; `code` and `message` are those
    of a refusal.
    """

    correlation_id: str
    allowed: bool
    code: str = ""
    message: str = ""


class ExplainCommand(Message, frozen=True, kw_only=True):
    """Ask for the verdict on this command, without any effect. Reply: Verdict."""

    command: Command


class HoldActuator(Message, frozen=True, kw_only=True):
    """A person holds an actuator: rules do not energise it for `seconds`; None: until released.

    `seconds` 0 releases it. Reply: HoldView. Refusals: UnknownActuator.
    """

    key: ActuatorKey
    seconds: float | None
    issuer: Issuer


class HoldView(Message, frozen=True, kw_only=True):
    """`until` in unix seconds, None: until it is released; `held` False: there is no hold."""

    esp_id: str
    gpio: int
    held: bool
    by: str = ""
    until: float | None = None


class CommandOutcome(Message, frozen=True, kw_only=True):
    """How a command ended: confirmed, failed, timed_out, superseded or refused."""

    correlation_id: str
    state: str
    message: str = ""
    at: float = 0.0


class StopAll(Message, frozen=True, kw_only=True):
    """Emergency stop of everything (`esp_id` and `zone_id` None), of a zone or of one device.

    Reply: SafetyView, after the stop is on the wire and latched on disk. Never refused.
    With `dry_run`, only the resulting SafetyView, here and below.
    """

    issuer: Issuer
    reason: str
    esp_id: str | None = None
    zone_id: str | None = None
    dry_run: bool = False


class ClearStop(Message, frozen=True, kw_only=True):
    """Begin to clear a stop; nothing is energised. Reply: SafetyView.

    `accept_unconfirmed` ends a clear although not all devices answer.
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
    """Energise nothing more, and switch off the actuators with `on_shutdown` off.

    Reply: the number of actuators that were sent OFF.
    """


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
    """Latency from a command on the wire to the device's answer."""
    held_by: str = ""
    """The person who has taken it from the rules, until `held_until` (None: until it is released)."""
    held_until: float | None = None
    limit_locked: bool = False
    """The device's own runtime limit has locked it, until the device is cleared."""


class StopView(Message, frozen=True, kw_only=True):
    """`told_at` and `confirmed_at` (unix seconds) are those of the stop while it is active, then
    those of the clear.

    `unconfirmed_actuators` (`ESP_4F3A9C/25`) have not reported the stop; `cannot_confirm` names
    devices that cannot confirm it, each with the reason.
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
    """`demand` is empty while the input is released; `raw` None before its first reading."""

    input: str
    stops: str
    raw: float | None
    demand: str
    where: str


class SafetyView(Message, frozen=True, kw_only=True):
    """Published by the safety actor as "view"; `state` is the strictest of all scopes. `latched`:
    the state in force is on disk.
    """

    state: str
    stops: tuple[StopView, ...] = ()
    alarm: str = ""
    latched: bool = True
    automation_held: tuple[str, ...] = ()
    dry_run: bool = False


class ActuatorStateChanged(Message, frozen=True, kw_only=True):
    key: ActuatorKey
    value: float | None
    at: float
