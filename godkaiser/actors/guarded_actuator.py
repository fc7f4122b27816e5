"""What the safety actor knows of one actuator: enough to judge a command without asking anybody."""

from __future__ import annotations

from collections import deque

from godkaiser.domain.entities import ActuatorConfig, Issuer
from godkaiser.domain.interlocks import OtherActuator
from godkaiser.domain.safety import ActuatorFacts, Hold
from godkaiser.supervision import Handle

HOUR_S = 3600.0


class GuardedActuator:
    """What the safety actor knows of one actuator."""

    __slots__ = ("config", "desired", "handle", "hold", "off_since", "on_since", "owner", "pin_user",
                 "reported", "reported_at", "switches")  # fmt: skip

    def __init__(self, config: ActuatorConfig, handle: Handle, pin_user: str = "") -> None:
        self.config = config
        self.handle = handle
        self.pin_user = pin_user
        self.desired = 0.0
        self.reported: float | None = None
        self.reported_at = 0.0
        self.on_since: float | None = None
        self.off_since: float | None = None
        self.owner = Issuer("system", "start")
        self.hold: Hold | None = None
        self.switches: deque[tuple[float, bool]] = deque(maxlen=1000)

    def __str__(self) -> str:
        return f"{self.config.esp_id}/{self.config.gpio}"

    def facts(self, now: float) -> ActuatorFacts:
        # Counting costs more than the whole verdict, so it is done for those that have a limit.
        limit_s, limit_switches = self.config.max_on_s_per_hour, self.config.max_switches_per_hour
        if limit_s or limit_switches:
            while self.switches and now - self.switches[0][0] > HOUR_S:
                self.switches.popleft()
        return ActuatorFacts(
            config=self.config,
            desired=self.desired,
            reported=self.reported,
            on_since=self.on_since,
            off_since=self.off_since,
            on_seconds_last_hour=self._on_seconds(now) if limit_s else 0.0,
            switches_last_hour=sum(1 for _, on in self.switches if on) if limit_switches else 0,
            hold=self.hold,
            owner_kind=self.owner.kind,
            owner_name=self.owner.name,
            owner_priority=self.owner.priority,
        )

    def _on_seconds(self, now: float) -> float:
        total = 0.0
        began = None if self.on_since is None else max(self.on_since, now - HOUR_S)
        if began is not None:
            total = now - began
        since: float | None = None
        for at, on in self.switches:
            if on:
                since = at
            elif since is not None:
                total += at - since
                since = None
        return total

    def as_other(self, *, online: bool) -> OtherActuator:
        """As an interlock of another actuator sees it."""
        return OtherActuator(
            desired=self.desired, reported=self.reported, on_since=self.on_since, online=online
        )

    def shift(self, seconds: float) -> None:
        """The clock was set by so much."""
        self.reported_at += seconds
        if self.on_since is not None:
            self.on_since += seconds
        if self.off_since is not None:
            self.off_since += seconds
        if self.hold is not None:
            self.hold = Hold(by=self.hold.by, until=self.hold.until + seconds)
        self.switches = deque(((at + seconds, on) for at, on in self.switches), maxlen=1000)

    def set_level(self, level: float, now: float) -> None:
        """It is on or off since now, as far as is known."""
        if level > 0.0 and self.on_since is None:
            self.on_since = now
            self.switches.append((now, True))
        elif level == 0.0 and self.on_since is not None:
            self.on_since = None
            self.off_since = now
            self.switches.append((now, False))
