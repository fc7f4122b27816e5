"""Requests to a device that wait for its answer: system commands and measurements on demand.

Used by a device actor only. The number of open requests is bounded (as the device's own queues
are), every request has a timeout, and the last ones can be inspected.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from godkaiser.actors.devices.messages import MeasureNow, SendSystemCommand
from godkaiser.actors.safety.messages import CommandOutcome, SwitchSafeMode
from godkaiser.domain.devices import system_commands
from godkaiser.domain.entities import DeviceRecord, Issuer
from godkaiser.errors.devices import DeviceBusy, UnknownSubzone
from godkaiser.errors.link import BrokerUnavailable
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import DevicePort
from godkaiser.protocol import outbound
from godkaiser.protocol.inbound import SensorResponse
from godkaiser.supervision import ActorContext

ANSWER_TIMEOUT_S = 15.0
MOST_OPEN = 16
KEPT = 20
MEASURE = "measure "


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is the command, or `measure <gpio>`; `state` open, succeeded, failed or timed_out."""

    correlation_id: str
    what: str
    issuer: str
    asked_at: float
    state: str = "open"
    answered_at: float | None = None
    answer: dict[str, Any] = {}


class DeviceRequests:
    def __init__(self, context: ActorContext, port: DevicePort) -> None:
        """Continues the requests that were open before a crash; their askers no longer wait."""
        self._context = context
        self._port = port
        kept: tuple[Request, ...] = context.recall("requests") or ()
        self._kept = OrderedDict((request.correlation_id, request) for request in kept)
        self._waiting: dict[str, Any] = {}
        deadline = context.monotonic() + ANSWER_TIMEOUT_S
        self._deadlines = dict.fromkeys(self._kept, deadline)

    def ask_system(self, message: SendSystemCommand, device: DeviceRecord) -> str:
        """Send a system command; returns its correlation id. Raises DeviceBusy, BrokerUnavailable."""
        request = self._request(message.command, message.issuer)
        payload = outbound.system_command(
            message.command, message.parameters, request.correlation_id
        )
        self._begin(
            request,
            message.outcome_to,
            lambda: self._port.system_command(device.device_id, payload),
        )
        return request.correlation_id

    def ask_measure(self, message: MeasureNow, device: DeviceRecord) -> str:
        """Make a sensor measure now; returns the correlation id. Raises as `ask_system`."""
        request = self._request(f"{MEASURE}{message.gpio}", message.issuer)
        payload = outbound.measure(request.correlation_id)
        self._begin(
            request,
            message.outcome_to,
            lambda: self._port.measure(device.device_id, message.gpio, payload),
        )
        return request.correlation_id

    def switch_safe_mode(self, message: SwitchSafeMode, device: DeviceRecord) -> None:
        """Raises UnknownSubzone, BrokerUnavailable."""
        if all(zone.subzone_id != message.subzone_id for zone in device.subzones):
            raise UnknownSubzone(device_id=device.device_id, subzone_id=message.subzone_id[:40])
        _publish_or_refuse(
            lambda: self._port.subzone_safe(
                device.device_id,
                message.subzone_id,
                message.reason,
                str(uuid.uuid4()),
                enable=message.enable,
            )
        )

    def measured(self, response: SensorResponse, now: float) -> None:
        """The device has answered a measurement."""
        answer = msgspec.to_builtins(response)
        self._answered(response.request_id, success=response.success, answer=answer, now=now)

    def replied(self, fields: dict[str, Any], now: float) -> None:
        """The device has replied to a system command; the reply names at most its command."""
        command = system_commands.command_of_reply(fields)
        for request in tuple(self._kept.values()):
            if request.what == command and request.state == "open":
                self._answered(
                    request.correlation_id,
                    success=system_commands.succeeded(fields),
                    answer=fields,
                    now=now,
                )

    def _request(self, what: str, issuer: Issuer) -> Request:
        return Request(
            correlation_id=str(uuid.uuid4()),
            what=what,
            issuer=str(issuer),
            asked_at=self._context.now(),
        )

    def _begin(self, request: Request, outcome_to: Any, publish: Callable[[], None]) -> None:
        """Raises DeviceBusy: too many requests are open, or one whose answer could be confused with
        this one's.
        """
        opened = [r for r in self._kept.values() if r.state == "open"]
        if len(opened) >= MOST_OPEN:
            raise DeviceBusy(reason=f"{len(opened)} requests already wait for its answer")
        # Replies to system commands name the command and nothing else (contract, 15.2).
        if any(r.what == request.what and not r.what.startswith(MEASURE) for r in opened):
            raise DeviceBusy(reason=f"a '{request.what}' already waits for its answer")
        _publish_or_refuse(publish)
        self._kept[request.correlation_id] = request
        self._deadlines[request.correlation_id] = self._context.monotonic() + ANSWER_TIMEOUT_S
        while len(self._kept) > KEPT:
            self._deadlines.pop(self._kept.popitem(last=False)[0], None)
        if outcome_to is not None:
            self._waiting[request.correlation_id] = outcome_to
        self._show()

    def _answered(
        self, correlation_id: str, *, success: bool, answer: dict[str, Any], now: float
    ) -> None:
        request = self._kept.get(correlation_id)
        if request is not None and request.state == "open":
            self._end(request, "succeeded" if success else "failed", answer, now)

    def expire(self) -> None:
        """End the requests that have timed out."""
        now = self._context.monotonic()
        overdue = [
            r
            for r in self._kept.values()
            if r.state == "open" and now >= self._deadlines.get(r.correlation_id, now)
        ]
        for request in overdue:
            self._end(request, "timed_out", {}, self._context.now())

    def _end(self, request: Request, state: str, answer: dict[str, Any], now: float) -> None:
        self._kept[request.correlation_id] = msgspec.structs.replace(
            request, state=state, answered_at=now, answer=answer
        )
        waiter = self._waiting.pop(request.correlation_id, None)
        if waiter is not None:
            waiter.set(
                CommandOutcome(
                    correlation_id=request.correlation_id,
                    state=state,
                    message=str(answer.get("message") or answer.get("error") or ""),
                    at=now,
                )
            )
        self._show()

    def _show(self) -> None:
        self._context.publish("requests", tuple(self._kept.values()))


def _publish_or_refuse(publish: Callable[[], None]) -> None:
    try:
        publish()
    except NotConnected as error:
        reason = "The MQTT broker is not connected, so no request reaches a device. Try again."
        raise BrokerUnavailable(reason) from error
