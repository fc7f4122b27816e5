"""Sends stops and clears to the devices; used by the safety actor only.

Without a link nothing is sent, but nothing is lost: unconfirmed messages are sent again when it is
back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog

from godkaiser.config.credentials import StopTokens
from godkaiser.domain.entities import Issuer
from godkaiser.mqtt.connection import NotConnected
from godkaiser.mqtt.ports import StopPort
from godkaiser.protocol import outbound

log = structlog.get_logger("godkaiser.safety")


class StopWire:
    def __init__(
        self,
        port: StopPort,
        clock: Callable[[], tuple[float, float]],
        *,
        kaiser_id: str,
        tokens: StopTokens,
    ) -> None:
        """`clock` gives the wall clock and the monotonic clock."""
        self._port = port
        self._clock = clock
        self._tokens = tokens
        self._mark = f"{kaiser_id[:20]}:"
        self._given_at: dict[str, float] = {}
        self.link_was_up = False
        """Before that, at the start of the process, what is not sent is sent when the link comes up."""

    def broadcast(self, reason: str, issuer: Issuer) -> None:
        """Stop every device that receives it."""
        correlation_id = f"{self._mark}{uuid.uuid4()}"
        try:
            self._port.broadcast(
                outbound.broadcast_stop(
                    reason, str(issuer), correlation_id, self._clock()[0], self._tokens.broadcast
                )
            )
        except NotConnected:
            # Without their server the devices enter their own safe state.
            log.error("stop_not_sent", scope="global", reason="the broker is not connected")

    def stop_device(self, device_id: str, reason: str) -> None:
        self._given_at[device_id] = self._clock()[1]
        self._send(self._port.stop_device, device_id, "emergency_stop", reason)

    def clear_device(self, device_id: str, reason: str) -> None:
        self._send(self._port.clear_device, device_id, "clear_emergency", reason)

    def given_at(self, device_id: str) -> float:
        """When this device itself was last sent a stop, in monotonic seconds; 0: never."""
        return self._given_at.get(device_id, 0.0)

    def resend_overdue(self) -> None:
        """Send stops that the broker has not acknowledged also on another connection."""
        self._port.resend_overdue()

    def next_resend_in_s(self) -> float | None:
        """Seconds until `resend_overdue` should be called; None: no stop is waiting."""
        return self._port.next_resend_in_s()

    def is_own_broadcast(self, correlation_id: str) -> bool:
        """Whether the broadcast is our own, even one from before a restart that arrives only now."""
        return correlation_id.startswith(self._mark)

    def clear_retained_broadcast(self) -> None:
        """Remove a retained stop: it would stop each device at every connect."""
        try:
            self._port.clear_retained_broadcast()
        except NotConnected:
            return

    def _send(
        self, publish: Callable[[str, bytes], None], device_id: str, command: str, reason: str
    ) -> None:
        payload = outbound.device_emergency(command, reason, str(uuid.uuid4()), self._tokens.device)
        try:
            publish(device_id, payload)
        except NotConnected:
            if self.link_was_up:
                log.error(f"{command}_not_sent", device=device_id, reason="broker not connected")
