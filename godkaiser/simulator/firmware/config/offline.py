"""The device without its server or link: modes and offline rules (contract, 13 and 18)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from godkaiser.simulator.firmware import parsing
from godkaiser.simulator.firmware.actuators import Actuators
from godkaiser.simulator.firmware.core import Core
from godkaiser.simulator.firmware.sensors import Sensors

ACK_TIMEOUT_S, GRACE_S, ADOPTION_S, EVALUATION_S = 120.0, 30.0, 2.0, 5.0
STALE_STATUS_S = 15.0
WARM_UP_SAMPLES = 3
MOST_RULES, LONGEST_TYPE = 8, 23
UNCALIBRATED = ("ph", "ec", "moisture", "soil")
ALL_DAYS = 127
_BERLIN = frozenset(("Europe/Berlin", "CET", "CEST"))


class Offline:
    def __init__(self, core: Core, actuators: Actuators, sensors: Sensors) -> None:
        self._core = core
        self._actuators = actuators
        self._sensors = sensors
        self._grace_until: float | None = None
        self._adopting_until: float | None = None
        self._next_evaluation = 0.0
        self._active: dict[int, bool] = {}
        self._first_connect_by: float | None = core.now + GRACE_S
        self.last_ack_at = core.now
        self._connected_at = core.now
        self._acked = False
        self._reconnected = False

    # ---- events of the link and the server

    def connected(self, *, reconnect: bool) -> None:
        self.last_ack_at = self._connected_at = self._core.now
        self._first_connect_by = None
        self._acked, self._reconnected = False, reconnect
        if reconnect:
            self.rearm()

    def disconnected(self) -> None:
        if self._core.mode in {"RECONNECTING", "ADOPTING"}:
            self._go_offline()
        elif self._core.mode == "ONLINE":
            self._lose_server(link=True)

    def rearm(self) -> None:
        core = self._core
        if core.mode == "OFFLINE_ACTIVE":
            core.mode = "RECONNECTING"
            core.active_epoch += 1
        elif core.mode == "DISCONNECTED":
            self._come_online()

    def server_status(self, body: dict[str, Any] | None) -> None:
        """Section 7."""
        status = None if body is None else body.get("status")
        if status == "online":
            self.rearm()
        elif status == "offline" and not self._is_stale(body or {}) and self._core.mode == "ONLINE":
            self._lose_server(link=False)

    def _is_stale(self, body: dict[str, Any]) -> bool:
        return (
            self._reconnected
            and not self._acked
            and self._core.now - self._connected_at < STALE_STATUS_S
            and body.get("reason") == "unexpected_disconnect"
        )

    def refuses_epoch(self, epoch: int) -> str:
        """The contract-reject code for a valid epoch that does not fit the mode (6.6)."""
        core = self._core
        if core.mode in {"ONLINE", "DISCONNECTED"} or epoch == core.active_epoch:
            return ""
        return "HANDOVER_EPOCH_MISMATCH" if core.active_epoch else "MISSING_ACTIVE_SESSION_EPOCH"

    def acknowledged(self) -> None:
        """A valid ack: the handover of 18.4."""
        core = self._core
        self.last_ack_at, self._acked = core.now, True
        if core.mode == "DISCONNECTED":
            self._come_online()
        elif core.mode == "RECONNECTING" or (
            core.mode == "OFFLINE_ACTIVE" and core.active_epoch > core.completed_epoch
        ):
            core.mode, self._adopting_until = "ADOPTING", core.now + ADOPTION_S
            core.counts["adopting_enter_count"] += 1
            self._actuators.tell_all()

    def forget(self) -> None:
        """An emergency stop resets the mode to ONLINE."""
        self._grace_until = self._adopting_until = None
        self._clear_overrides()

    # ---- time

    def tick(self) -> None:
        core = self._core
        if self._first_connect_by is not None and core.now >= self._first_connect_by:
            # Booted while the broker was unreachable: go offline, without an open epoch.
            self._first_connect_by = None
            self._go_offline()
        if (
            core.outbox.connected
            and core.personality.gated
            and core.mode == "ONLINE"
            and core.now - self.last_ack_at > ACK_TIMEOUT_S
        ):
            self._lose_server(link=False)
        if self._grace_until is not None and core.now >= self._grace_until:
            self._grace_until = None
            if core.mode == "DISCONNECTED":
                self._go_offline()
        if self._adopting_until is not None and core.now >= self._adopting_until:
            core.completed_epoch = core.active_epoch
            core.counts["adoption_noop_count"] += 1
            self._come_online()
        if core.mode == "OFFLINE_ACTIVE" and core.now >= self._next_evaluation:
            self._next_evaluation = core.now + EVALUATION_S
            self._evaluate()

    def _lose_server(self, *, link: bool) -> None:
        """18.2: actuators without a rule return to their default; without any rule, all do."""
        core = self._core
        core.mode, self._grace_until = "DISCONNECTED", core.now + GRACE_S
        rules = core.memory.offline_rules
        covered = {rule.get("actuator_gpio") for rule in rules if _is_usable(rule)}
        if rules and not link:
            return
        for actuator in self._actuators.all:
            if actuator.gpio in covered:
                self._actuators.alert(actuator.gpio, "offline_rule_hold")
            else:
                self._actuators.fall_back(actuator)
                if rules:
                    self._actuators.alert(actuator.gpio, "safety_forced_off")

    def _go_offline(self) -> None:
        core = self._core
        core.mode, self._adopting_until = "OFFLINE_ACTIVE", None
        core.counts["offline_enter_count"] += 1
        self._next_evaluation = core.now
        self._sensors.valid_since_offline.clear()
        self._active = {
            index: parsing.lenient_bool(rule.get("current_state_active"), default=False)
            for index, rule in enumerate(core.memory.offline_rules)
        }

    def _come_online(self) -> None:
        self._core.mode = "ONLINE"
        self._grace_until = self._adopting_until = None
        self._clear_overrides()

    def _clear_overrides(self) -> None:
        for actuator in self._actuators.all:
            actuator.overridden = False

    # ---- rules (13)

    def _evaluate(self) -> None:
        memory = self._core.memory
        for index, rule in enumerate(memory.offline_rules[:MOST_RULES]):
            actuator = memory.actuators.get(parsing.integer(rule.get("actuator_gpio"), -1))
            if actuator is None or actuator.stopped or actuator.overridden or not _is_usable(rule):
                continue
            wanted = self._wanted(index, rule)
            if wanted is None:
                continue
            self._active[index] = wanted
            if wanted != (actuator.level > 0):
                self._actuators.set_level(actuator, 1.0 if wanted else 0.0, "firmware:offline_rule")
                self._actuators.status(actuator)

    def _wanted(self, index: int, rule: dict[str, Any]) -> bool | None:
        """On, off, or None: leave the actuator as it is."""
        kind = rule["sensor_value_type"]
        if kind.startswith(UNCALIBRATED):
            return False
        in_window = self._in_window(rule.get("time_filter"))
        if kind == "__twindow_on":
            return in_window
        if kind == "__twindow_off":
            return not in_window
        if not in_window:
            return False
        gpio = parsing.integer(rule.get("sensor_gpio"), -1)
        value = self._sensors.cached(gpio, kind)
        warm = self._sensors.valid_since_offline.get((gpio, kind), 0) >= WARM_UP_SAMPLES
        if value is None or not warm:
            return None
        return _hysteresis(rule, value, active=self._active.get(index, False))

    def _in_window(self, window: Any) -> bool:
        if not isinstance(window, dict) or window.get("enabled") is not True:
            return True
        if not self._core.clock.valid:
            return False
        zone = ZoneInfo("Europe/Berlin") if window.get("timezone") in _BERLIN else UTC
        local = datetime.fromtimestamp(self._core.unix, zone)
        # Bit 0 is Sunday.
        mask = parsing.integer(window.get("days_of_week_mask"), ALL_DAYS)
        if not mask >> (local.isoweekday() % 7) & 1:
            return False
        now = local.hour * 60 + local.minute
        start, end = (
            parsing.integer(window.get(f"{edge}_hour")) * 60
            + parsing.integer(window.get(f"{edge}_minute"))
            for edge in ("start", "end")
        )
        return start <= now < end if start <= end else now >= start or now < end


def _is_usable(rule: dict[str, Any]) -> bool:
    kind = rule.get("sensor_value_type")
    return isinstance(kind, str) and 0 < len(kind) <= LONGEST_TYPE


def _hysteresis(rule: dict[str, Any], value: float, *, active: bool) -> bool:
    """0.0 means "not set", so a threshold of exactly 0 is impossible."""

    def limit(name: str) -> float:
        number = rule.get(name)
        return float(number) if isinstance(number, int | float) else 0.0

    below, above = limit("activate_below"), limit("activate_above")
    if below and value < below:
        return True
    if above and value > above:
        return True
    if below and limit("deactivate_above") and value > limit("deactivate_above"):
        return False
    if above and limit("deactivate_below") and value < limit("deactivate_below"):
        return False
    return active
