"""What people ask of the gateway in a simulation, and what the plant model may then expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from godkaiser import paths
from godkaiser.actors.safety.messages import (
    ClearStop,
    HoldActuator,
    RequestCommand,
    ResumeAutomation,
    StopAll,
)
from godkaiser.domain.entities import ActuatorKey, Command, Issuer, Verb
from godkaiser.domain.safety.stop_state import Scope, ScopeKind
from godkaiser.errors.base import GatewayError
from godkaiser.supervision import MailboxFull, SupervisionError

if TYPE_CHECKING:
    from tests.safety.world.stage import Stage

OPERATOR = Issuer("user", "operator")


class People:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def ask_safety(self, message: Any) -> Any:
        """The reply, or None where there was none: a crash, a refusal, a time-out."""
        try:
            return self._stage.system.handle(paths.SAFETY).ask(
                message, timeout_s=5.0, urgent=isinstance(message, StopAll)
            )
        except GatewayError:
            self._stage.counts["refused"] += 1
        except MailboxFull:
            if isinstance(message, StopAll):
                self._stage.plant.complain("a stop was refused: it found no room in the mailbox")
        except (SupervisionError, KeyError):
            self._stage.counts["unanswered"] += 1
        return None

    def stop(self, scope: Scope) -> bool:
        message = StopAll(issuer=OPERATOR, reason="simulated", **scope_fields(scope))
        if self.ask_safety(message) is None:
            return False
        self._stage.counts["stops"] += 1
        self._stage.answered.add(str(scope))
        if self._stage.latch.is_settled(self._stage.now()):
            self._stage.check_latched()
        return True

    def clear(self, scope: Scope, *, accept: bool = False) -> Any:
        before = self._stage.answered & {str(scope)}
        self._stage.answered.discard(str(scope))
        self._stage.counts["clears"] += 1
        message = ClearStop(issuer=OPERATOR, accept_unconfirmed=accept, **scope_fields(scope))
        refusals = self._stage.counts["refused"]
        reply = self.ask_safety(message)
        if self._stage.counts["refused"] > refusals:
            self._stage.answered |= before
        return reply

    def resume(self) -> Any:
        self._stage.counts["resumes"] += 1
        return self.ask_safety(ResumeAutomation(issuer=OPERATOR))

    def command(
        self, key: ActuatorKey, verb: Verb, value: float | None = None, duration_s: float = 5.0
    ) -> Any:
        return self.ask_safety(RequestCommand(command=self.wish(key, verb, value, duration_s)))

    def wish(
        self, key: ActuatorKey, verb: Verb, value: float | None = None, duration_s: float = 5.0
    ) -> Command:
        self._stage.counts["commands"] += 1
        return Command(
            esp_id=key.esp_id, gpio=key.gpio, verb=verb, value=value, duration_s=duration_s,
            issuer=OPERATOR, correlation_id=f"c{self._stage.counts['commands']}",
            requested_at=self._stage.runtime.now(), decided_at=self._stage.runtime.monotonic(),
        )  # fmt: skip

    def hold(self, key: ActuatorKey, seconds: float | None) -> None:
        """Modelled for certain holds only: until released, and answered."""
        self._stage.laws.held.discard(key)
        reply = self.ask_safety(HoldActuator(key=key, seconds=seconds, issuer=OPERATOR))
        if reply is not None and seconds is None:
            self._stage.laws.held.add(key)


def scope_fields(scope: Scope) -> dict[str, Any]:
    if scope.kind is ScopeKind.GLOBAL:
        return {}
    return {"esp_id" if scope.kind is ScopeKind.DEVICE else "zone_id": scope.name}


def scope_name(message: StopAll | ClearStop) -> str:
    if message.esp_id is not None:
        return f"device {message.esp_id}"
    return f"zone {message.zone_id}" if message.zone_id is not None else "global"
