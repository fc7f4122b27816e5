"""One actor for each actuator: publishes the orders of the safety actor, keeps a timer, and
reports.

It does not decide: the desired state is held and stepped by the safety actor. No other actor can
publish on the command topic of an actuator.
"""

from __future__ import annotations

from typing import Any

import msgspec

from godkaiser.actors.message import Message
from godkaiser.actors.safety.messages import (
    OVERTAKEN,
    ActuatorDue,
    ActuatorView,
    CommandFate,
    CommandNotSent,
    ShellStarted,
)
from godkaiser.domain.entities import ActuatorConfig, Verb
from godkaiser.domain.safety.actuator_events import Send
from godkaiser.domain.safety.level import wire_verb
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.gate import ClearanceExpired, Fate, FateListener
from godkaiser.mqtt.ports import CommandPort
from godkaiser.protocol import outbound
from godkaiser.supervision import Actor, Handle


class Transmission(msgspec.Struct, frozen=True):
    """One command to publish; `clearance` is the gate's permission to energise, None for an OFF."""

    send: Send
    clearance: Any = None


class Order(Message, frozen=True, kw_only=True):
    """From the safety actor: show `view`, publish `transmissions` in order, and report at `wake_at`
    (monotonic seconds; None: no timer).
    """

    view: ActuatorView
    transmissions: tuple[Transmission, ...] = ()
    wake_at: float | None = None


class TimerOver(Message, frozen=True, kw_only=True):
    """To oneself."""


class ActuatorActor(Actor):
    def __init__(self, config: ActuatorConfig, port: CommandPort, guard: Handle) -> None:
        super().__init__()
        self._config = config
        self._port = port
        self._guard = guard

    def on_start(self) -> None:
        if self.context.incarnation > 1:
            self._guard.tell(ShellStarted(key=self._config.key))

    def on_receive(self, message: object) -> None:
        match message:
            case Order():
                self._carry_out(message)
            case TimerOver():
                self._guard.tell(ActuatorDue(key=self._config.key))
            case _:
                self.context.unhandled(message)

    def _carry_out(self, order: Order) -> None:
        self.context.publish("view", order.view)
        self._config = order.view.config
        if order.wake_at is None:
            self.context.cancel("timer")
        else:
            delay_s = max(0.0, order.wake_at - self.context.monotonic())
            self.context.schedule(delay_s, TimerOver(), key="timer")
        for transmission in order.transmissions:
            self._transmit(transmission)

    def _transmit(self, transmission: Transmission) -> None:
        send = transmission.send
        try:
            self._publish(send, transmission.clearance)
        except ClearanceExpired:
            self._not_sent(send, "refused", OVERTAKEN)
        except NotConnected as error:
            self._not_sent(send, "failed", str(error) or "the broker is not connected")

    def _publish(self, send: Send, clearance: Any) -> None:
        """Raises ClearanceExpired, NotConnected."""
        config = self._config
        verb = wire_verb(send.level, config)
        payload = outbound.actuator_command(
            verb.value,
            send.level,
            # The device itself ends only an ON; a PWM ends with the gateway's lease, or with the
            # maximum runtime in the device's configuration.
            send.duration_s if verb is Verb.ON else 0,
            send.correlation_id,
            send.issued_by,
        )
        listener = self._listener(send.correlation_id)
        if send.level > 0.0:
            self._port.energise(config.esp_id, config.gpio, payload, clearance, listener)
        else:
            self._port.release(config.esp_id, config.gpio, payload, listener)

    def _listener(self, correlation_id: str) -> FateListener:
        """The listener for the fate of a command; it runs in a network thread, so it only sends a
        message.
        """
        guard, key = self._guard, self._config.key

        def listener(fate: Fate) -> None:
            guard.tell(CommandFate(key=key, correlation_id=correlation_id, fate=fate))

        return listener

    def _not_sent(self, send: Send, state: str, reason: str) -> None:
        self._guard.tell(
            CommandNotSent(
                key=self._config.key,
                correlation_id=send.correlation_id,
                state=state,
                reason=reason,
            )
        )
