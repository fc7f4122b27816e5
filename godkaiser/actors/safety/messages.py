"""What the actors of the actuators report to the safety actor."""

from __future__ import annotations

from godkaiser.domain.entities import ActuatorKey
from godkaiser.messages import Message
from godkaiser.mqtt.gate import Fate


class CommandFate(Message, frozen=True, kw_only=True):
    """The link knows what became of a command."""

    key: ActuatorKey
    correlation_id: str
    fate: Fate


class CommandNotSent(Message, frozen=True, kw_only=True):
    """A command did not leave: `state` is the outcome, refused or failed."""

    key: ActuatorKey
    correlation_id: str
    state: str
    reason: str


class ActuatorDue(Message, frozen=True, kw_only=True):
    """The timer of an actuator is over."""

    key: ActuatorKey


class ShellStarted(Message, frozen=True, kw_only=True):
    """The actor of an actuator was started again after a crash; its last order may be half done."""

    key: ActuatorKey
