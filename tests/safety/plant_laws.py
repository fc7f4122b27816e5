"""What must never be seen on the wire or in the plant, whatever fails: the promises of docs/safety.md.

Each law looks at `plant_model.py` alone. A law with a deadline is not applied while the gateway could
not act (no connection, a frozen broker, a crash a moment ago): it is looked at again later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from godkaiser.domain.entities import ActuatorKey
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind
from tests.safety.world.agenda import Agenda
from tests.safety.world.plant_model import NEVER, Pin, Plant, Sent

AT_ONCE_S = 1.0
"""Longer than any actor of an idle gateway needs, shorter than a repetition."""
MEND_S = 3.0
HEARD_S = 1.0
"""A report that came in so long ago is known."""
LEASE_GRACE_S = 5.0
ENDED_S = 75.0
"""An OFF is repeated at least once a minute: then it has been done."""
OLDEST_S = 8.0
ALARM_S = 45.0
RECHECK_S = 5.0
HOUR_S = 3600.0
TOLERANCE_S = 0.5


class Laws:
    def __init__(
        self, plant: Plant, agenda: Agenda, interlocks: Iterable[Interlock],
        priorities: dict[str, int], doses: dict[str, float],
    ) -> None:  # fmt: skip
        """`priorities` of rules and `doses` (their cooldown in seconds), by issuer."""
        self.plant = plant
        self._agenda = agenda
        self._interlocks = tuple(interlocks)
        self._priorities = priorities
        self._doses = doses
        self._last_dose: dict[str, float] = {}
        self._off_decided: dict[ActuatorKey, int] = {}
        self._broken: dict[Interlock, float] = {}
        self.stops: dict[str, float] = {}
        self._stopped_on_wire: dict[str, float] = {}
        self.held: set[ActuatorKey] = set()
        self.latched: Callable[[str], str] = lambda _device_id: ""
        self.holds_automation: Callable[[str], bool] = lambda _device_id: False
        self.unconfirmed: Callable[[str], tuple[tuple[str, ...], str]] = lambda _scope: ((), "")
        self.more: Callable[[Sent], None] = lambda _sent: None
        self._coming: str | None = None
        plant.laws = self

    # ---- helpers

    def _covers(self, scope: str, device_id: str) -> bool:
        return scope in {"global", f"device {device_id}", f"zone {self.plant.zones[device_id]}"}

    def stop_over(self, device_id: str) -> float | None:
        """When the newest stop of this device began; None: it is under none."""
        found = [at for scope, at in self.stops.items() if self._covers(scope, device_id)]
        if device_id in self._stopped_on_wire:
            found.append(self._stopped_on_wire[device_id])
        return max(found, default=None)

    def within(self, seconds: float, check: Callable[[], str], device_id: str = "") -> None:
        """After so many seconds in which the gateway could act, `check` must have nothing to say."""

        def look() -> None:
            text = check()
            if not text:
                return
            free = self.plant.free_for()
            if device_id:
                free = min(free, self.plant.reachable_for(device_id))
            if free < seconds:
                self._agenda.after(RECHECK_S if free < 0 else seconds - free + 0.01, look)
            else:
                self.plant.complain(text)

        self._agenda.after(seconds, look)

    # ---- decisions and order

    def off_decided(self, key: ActuatorKey, order: int) -> None:
        self._off_decided[key] = order

    def command_handed(self, sent: Sent) -> None:
        if not sent.energises:
            self._dependents_follow(sent.key)

    def energising_left(self, sent: Sent) -> None:
        """The last moment at which it could have been held back."""
        pin = self.plant.pins[sent.key]
        complain = self.plant.complain
        device_id = sent.key.esp_id
        since = self.stop_over(device_id)
        if since is not None:
            complain(f"{sent} left under a stop")
        elif latched := self.latched(device_id):
            complain(f"{sent} left while {latched} is on the latch")
        later = [s for s in pin.sent if s.handed_at >= sent.handed_at and s.ticket > sent.ticket]
        if any(not s.energises for s in later):
            complain(f"{sent} left after an OFF that was published later")
        if sent.order is not None and sent.order < self._off_decided.get(sent.key, -1):
            complain(f"{sent} left after an OFF that was decided later")
        if sent.order is not None and any(
            s.left_at is not None and s.order is not None and s.order > sent.order
            for s in pin.sent if s is not sent
        ):  # fmt: skip
            complain(f"{sent} left after a command that was decided later")
        if sent.asked_at is None or self.plant.now() - sent.asked_at > OLDEST_S:
            complain(f"{sent} left, and was decided long ago or by nobody")
        self._check_limits(pin, sent)
        for lock in self._interlocks:
            self._check_interlock(lock, sent)
        self._check_owner(pin, sent)
        self._check_lease(pin, sent)
        self.more(sent)

    def energising_delivered(self, sent: Sent) -> None:
        cleared_at = self.plant.clear_left_at.get(sent.key.esp_id, NEVER)
        if sent.left_at is not None and cleared_at > sent.left_at:
            self.plant.complain(f"{sent} was delivered after a clear that followed it")

    # ---- owners

    def _check_owner(self, pin: Pin, sent: Sent) -> None:
        if not sent.issuer.startswith("rule:"):
            return
        if sent.key in self.held:
            self.plant.complain(f"{sent} left while a person held the actuator")
        if self.holds_automation(sent.key.esp_id):
            self.plant.complain(f"{sent} left before an operator resumed")
        cooldown_s = self._doses.get(sent.issuer)
        if cooldown_s is not None:
            before = self._last_dose.get(sent.issuer, NEVER)
            self._last_dose[sent.issuer] = self.plant.now()
            if self.plant.now() - before < cooldown_s - TOLERANCE_S:
                self.plant.complain(f"{sent}: a dose was given twice")
        owner = pin.executed
        if (
            pin.level > 0.0 and not pin.own_doing and owner is not None and pin.told
            and not pin.off_handed_after(owner.handed_at)
            and self._priorities.get(sent.issuer, 0) < self._priorities.get(owner.issuer, 0)
        ):  # fmt: skip
            self.plant.complain(f"{sent} took the actuator from {owner.issuer}")

    # ---- limits and leases

    def _check_limits(self, pin: Pin, sent: Sent) -> None:
        now, config = self.plant.now(), pin.config
        if pin.level > 0.0 or len(pin.under_way) > 1:
            return
        told = pin.told == 0.0 and pin.off_since <= pin.told_at < now - HEARD_S
        ordered = any(not s.energises for s in pin.sent[-2:-1]) and pin.sent[-1] is sent
        if (told or ordered) and now - pin.off_since < config.min_off_s - TOLERANCE_S:
            self.plant.complain(f"{sent} left {now - pin.off_since:.1f} s after it went off")
        if config.max_switches_per_hour:
            lately = sum(now - at < HOUR_S for at in pin.starts)
            if lately >= config.max_switches_per_hour:
                self.plant.complain(f"{sent} left for its start number {lately + 1} within an hour")
        if config.max_on_s_per_hour and told:
            ran_s = sum(end - max(begin, now - HOUR_S) for begin, end in pin.runs
                        if end > now - HOUR_S)  # fmt: skip
            if ran_s > config.max_on_s_per_hour * 1.1 + LEASE_GRACE_S:
                self.plant.complain(f"{sent} left after {ran_s:.0f} s of running within an hour")

    def _check_lease(self, pin: Pin, sent: Sent) -> None:
        """The gateway's OFF is there when the lease is over; in the end the actuator is off."""
        device_id = sent.key.esp_id

        def still_leads() -> bool:
            return pin.level > 0.0 and not pin.own_doing and pin.executed is sent

        def forgotten() -> str:
            over_s = self.plant.now() - (sent.left_at or 0.0) - sent.lease_s
            if not still_leads() or pin.off_handed_after(sent.handed_at):
                return ""
            return f"{sent} runs {over_s:.0f} s past its lease and nothing ends it"

        def endless() -> str:
            if not still_leads() or pin.stuck:
                return ""
            return (
                f"{sent} still runs {self.plant.now() - (sent.left_at or 0.0):.0f} s after it left"
            )

        def over() -> None:
            self.within(LEASE_GRACE_S, forgotten, device_id)
            self.within(ENDED_S, endless, device_id)

        self._agenda.after(sent.lease_s, over)

    # ---- interlocks

    def _check_interlock(self, lock: Interlock, sent: Sent) -> None:
        """At the moment when an energising command leaves."""
        now = self.plant.now()
        if lock.kind is InterlockKind.NEVER_WITH:
            if sent.key not in (lock.actuator, lock.other):
                return
            other = self.plant.pins[lock.other if sent.key == lock.actuator else lock.actuator]
            commanded = bool(other.under_way) or (other.level > 0.0 and not other.own_doing)
            known = other.level > 0.0 and other.told == 1.0 and now - other.told_at > HEARD_S
            if commanded or known:
                self.plant.complain(f"{sent} left while {_name(other)} may run ({lock})")
            return
        if sent.key != lock.actuator:
            return
        other = self.plant.pins[lock.other]
        if other.level > 0.0:
            if other.off_follows_last_on() and not other.own_doing:
                self.plant.complain(f"{sent} left while {_name(other)} is told OFF ({lock})")
            elif now - other.on_since < lock.after_s - TOLERANCE_S:
                self.plant.complain(f"{sent} left too early ({lock})")
        elif other.off_follows_last_on() or not other.sent:
            # Its own OFF, or nothing that would have switched it on.
            if not other.own_doing:
                self.plant.complain(f"{sent} left while {_name(other)} is off ({lock})")
        elif other.told == 0.0 and other.told_at < now - HEARD_S:
            self.plant.complain(f"{sent} left while {_name(other)} is known to be off ({lock})")

    def _dependents_follow(self, key: ActuatorKey) -> None:
        """What may only run with this one goes off with it."""
        for lock in self._interlocks:
            if lock.kind is InterlockKind.NEVER_WITH or lock.other != key:
                continue
            pin = self.plant.pins[lock.actuator]
            if pin.may_run and not pin.own_doing:
                self.within(AT_ONCE_S, lambda pin=pin, lock=lock: (
                    f"{_name(pin)} was left on alone ({lock})"
                    if pin.may_run and not pin.off_follows_last_on()
                    and not self.plant.pins[lock.other].may_run else ""
                ), lock.actuator.esp_id)  # fmt: skip

    def _is_broken(self, lock: Interlock) -> bool:
        pin, other = self.plant.pins[lock.actuator], self.plant.pins[lock.other]
        if lock.kind is InterlockKind.NEVER_WITH:
            return pin.level > 0.0 and other.level > 0.0
        return pin.level > 0.0 and other.level == 0.0

    def _is_told(self, lock: Interlock) -> bool:
        pin, other = self.plant.pins[lock.actuator], self.plant.pins[lock.other]
        wanted = 1.0 if lock.kind is InterlockKind.NEVER_WITH else 0.0
        return pin.told == 1.0 and other.told == wanted

    def pin_switched(self, pin: Pin) -> None:
        for lock in self._interlocks:
            if pin.key in (lock.actuator, lock.other):
                if not self._is_broken(lock):
                    self._broken.pop(lock, None)
                elif lock not in self._broken:
                    self._broken[lock] = self.plant.now()
                    self._watch_broken(lock)

    def told(self, pin: Pin) -> None:
        for lock in self._interlocks:
            if (
                lock in self._broken
                and pin.key in (lock.actuator, lock.other)
                and self._is_told(lock)
            ):
                self._expect_mended(lock)

    def _sides(self, lock: Interlock) -> list[Pin]:
        keys = [lock.actuator]
        if lock.kind is InterlockKind.NEVER_WITH:
            keys.append(lock.other)
        return [self.plant.pins[key] for key in keys]

    def _expect_mended(self, lock: Interlock) -> None:
        """The gateway knows: an OFF leaves for the side that must give way."""
        began = self._broken[lock]

        def unmended() -> str:
            if self._broken.get(lock) != began or not self._is_told(lock):
                return ""
            if any(p.off_handed_after(began) or p.off_follows_last_on() for p in self._sides(lock)):
                return ""
            return f"it was told that {lock} is broken, and switches nothing off"

        self.within(MEND_S, unmended)

    def _watch_broken(self, lock: Interlock) -> None:
        """In the end it is mended, whoever broke it."""
        began = self._broken[lock]

        def unmended() -> str:
            sides = self._sides(lock)
            if self._broken.get(lock) != began or any(pin.stuck for pin in sides):
                return ""
            if any(self.plant.reachable_for(p.key.esp_id) < ENDED_S for p in self._ends(lock)):
                self.within(ENDED_S, unmended)
                return ""
            return f"{lock} has been broken for {self.plant.now() - began:.0f} s"

        self.within(ENDED_S, unmended)

    def _ends(self, lock: Interlock) -> list[Pin]:
        return [self.plant.pins[lock.actuator], self.plant.pins[lock.other]]

    # ---- stops

    def stop_coming(self, scope: str | None) -> None:
        """The safety actor takes up a stop, which begins with the first word on the wire; None: done."""
        self._coming = scope

    def stop_handed(self, device_id: str | None) -> None:
        if device_id is None:
            if self._coming is not None or "global" not in self.stops:
                self._stop_begins("global")
        elif self._coming is not None and self._covers(self._coming, device_id):
            self._stop_begins(self._coming)
        elif self.stop_over(device_id) is None and not self.latched(device_id):
            self._stopped_on_wire[device_id] = self.plant.now()
        self._coming = None

    def clear_handed(self, device_id: str) -> None:
        self._stopped_on_wire.pop(device_id, None)

    def stop_answered(self, scope: str) -> None:
        if scope not in self.stops:
            self._stop_begins(scope)

    def clear_asked(self, scope: str) -> dict[str, float]:
        """From here on it may be over; returns what `clear_refused` takes back."""
        found = {scope: self.stops.pop(scope)} if scope in self.stops else {}
        for device_id in list(self._stopped_on_wire):
            if self._covers(scope, device_id):
                del self._stopped_on_wire[device_id]
        return found

    def clear_refused(self, found: dict[str, float]) -> None:
        self.stops.update(found)

    def forget_unwritten(self, latched: set[str]) -> None:
        """The process ended while the disk took nothing: what it does not hold is gone."""
        self.stops = {scope: at for scope, at in self.stops.items() if scope in latched}
        self._stopped_on_wire.clear()

    def _stop_begins(self, scope: str) -> None:
        now = self.plant.now()
        self.stops[scope] = now
        for pin in self.plant.pins.values():
            device_id = pin.key.esp_id
            if not (pin.installed and self._covers(scope, device_id)):
                continue
            # What its device did by itself and has not told, nobody here can know.
            known = pin.under_way or (pin.level > 0.0 and not (pin.own_doing and pin.told == 0.0))
            if known and self.plant.connected[device_id]:
                self.within(AT_ONCE_S, lambda pin=pin: (
                    f"a stop, and no OFF for {_name(pin)}, which may run"
                    if pin.may_run and not pin.off_handed_after(now) and not pin.off_follows_last_on()
                    else ""
                ), device_id)  # fmt: skip
        self._agenda.after(ALARM_S, lambda: self._expect_alarm(scope, now))

    def _expect_alarm(self, scope: str, began: float) -> None:
        def silent() -> str:
            names, alarm = self.unconfirmed(scope)
            if self.stops.get(scope) != began or not names or alarm:
                return ""
            return f"the stop of {scope} is unconfirmed by {names}, and there is no alarm"

        self.within(ALARM_S, silent)

    def confirmed(self, scope: str, device_id: str) -> None:
        """The gateway says that this device has confirmed its stop."""
        began = self.stops.get(scope)
        if began is None:
            return
        for pin in self.plant.of_device(device_id):
            if pin.installed and pin.shown_off_at < began:
                self.plant.complain(
                    f"the stop of {scope} counts as confirmed by {device_id}, "
                    f"but {_name(pin)} has not shown it"
                )


def _name(pin: Pin) -> str:
    return f"{pin.key.esp_id}:{pin.key.gpio}"
