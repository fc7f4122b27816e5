"""Makes log lines for an operator from what the actors publish: stops and their clearing,
alarms, why the broker is away, new devices and decisions on them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import structlog

from godkaiser.actors.devices.messages import DeviceView
from godkaiser.actors.link.broker import CONNECTING, NEXT_ATTEMPT
from godkaiser.actors.link.messages import LinkView
from godkaiser.actors.safety.messages import SafetyView, StopView
from godkaiser.domain.entities import Approval

log = structlog.get_logger("godkaiser.operations")


class LogLines:
    """`note` runs in the thread of the actor that publishes, for each path one call at a time."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._safety = SafetyView(state="normal")
        self._away = ""
        self._is_connected = False
        self._approvals: dict[str, Approval] = {}

    def note(self, _path: str, key: Hashable, value: Any) -> None:
        if key != "view":
            return
        if isinstance(value, SafetyView):
            before, self._safety = self._safety, value
            self._tell_stops(before, value)
        elif isinstance(value, DeviceView):
            self._tell_device(value)
        elif isinstance(value, LinkView):
            self._tell_link(value)

    def _tell_stops(self, before: SafetyView, now: SafetyView) -> None:
        known = {stop.scope: stop for stop in before.stops}
        for stop in now.stops:
            old = known.pop(stop.scope, None)
            if old is None or old.state != stop.state:
                _tell_stop(stop)
        for scope in known:
            log.info("stop_cleared", scope=scope)
        if now.automation_held != before.automation_held:
            if now.automation_held:
                log.info("rules_held_until_resume", scopes=now.automation_held)
            else:
                log.info("rules_resumed")
        if now.alarm and now.alarm != before.alarm:
            log.error("safety_alarm", alarm=now.alarm)

    def _tell_link(self, view: LinkView) -> None:
        """Why it cannot connect: each reason once, however often it tries. The broker actor tells of
        connections and of their loss.
        """
        reason = view.last_error.partition(NEXT_ATTEMPT)[0]
        was_lost, self._is_connected = self._is_connected, view.connected
        is_new = bool(reason) and reason not in {self._away, CONNECTING}
        self._away = reason
        if is_new and not view.connected and not was_lost:
            log.warning("broker_away", broker=view.address, reason=reason)

    def _tell_device(self, view: DeviceView) -> None:
        record = view.record
        before = self._approvals.get(record.device_id)
        self._approvals[record.device_id] = record.approval
        if before is None:
            if record.registered_at >= self._started_at:
                log.info(
                    "new_device", device=record.device_id, approval=record.approval.value,
                    by=record.registered_by, address=view.wifi_ip,
                )  # fmt: skip
        elif before is not record.approval:
            log.info(
                "device_decided", device=record.device_id, approval=record.approval.value,
                by=record.decided_by, reason=record.reason,
            )  # fmt: skip


def _tell_stop(stop: StopView) -> None:
    if stop.state == "active":
        log.warning("emergency_stop", scope=stop.scope, by=stop.by, reason=stop.reason)
    else:
        log.info("stop_changes", scope=stop.scope, state=stop.state, by=stop.by, reason=stop.reason)
