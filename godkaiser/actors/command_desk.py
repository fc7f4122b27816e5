"""Where commands are judged and passed on to the actuators; used by the safety actor only.

A command is judged on what is known here and on what was allowed before it, so that two commands in
one breath are judged one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from godkaiser import paths
from godkaiser.actors.device_messages import (
    ActuatorOutcome,
    ApplyCommand,
    InstallActuator,
    ReleaseNow,
)
from godkaiser.actors.guarded_actuator import GuardedActuator
from godkaiser.actors.guarded_site import GuardedSite
from godkaiser.actors.journal import RecordAudit, RecordVerdict
from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, Command
from godkaiser.domain.interlocks import Interlock
from godkaiser.domain.latency import Latencies
from godkaiser.domain.safety import Verdict, judge
from godkaiser.domain.safety_state import SafetyState
from godkaiser.errors import CommandRefused
from godkaiser.messages import ActuatorView, CommandJudged, RequestCommand
from godkaiser.mqtt.gate import Clearance, CommandGate
from godkaiser.storage.audit import AuditEntry
from godkaiser.supervision import ActorContext, ChildSpec, Handle, StartChild, StopChild

ASK_TIMEOUT_S = 2.0
COMMAND_AGE_S = 10.0
"""A decision to energise that has not left by then is void."""

ActuatorFactory = Callable[[ActuatorConfig, Handle, Handle], ChildSpec]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all commands: the stops, and what the gateway itself is able to do."""

    stops: SafetyState
    link_up: bool
    record_ok: bool


class CommandDesk:
    def __init__(
        self,
        context: ActorContext,
        site: GuardedSite,
        gate: CommandGate,
        journal: Handle,
        actuator_factory: ActuatorFactory,
    ) -> None:
        self._context = context
        self._site = site
        self._gate = gate
        # The gate outlives a crash, and takes no generation that is older than one it knows.
        self._generation = context.incarnation << 32
        self._journal = journal
        self._actuator_factory = actuator_factory
        remembered = context.recall("judged_after")
        self._judged_after = remembered if isinstance(remembered, Latencies) else Latencies()

    def begin(self, actuators: Iterable[ActuatorConfig], interlocks: tuple[Interlock, ...]) -> None:
        """Take up what was configured or, after a crash, what the predecessor had."""
        known = self._context.recall("installed")
        for message in known if known is not None else map(_as_installation, actuators):
            self._take(message)
        remembered = self._context.recall("interlocks")
        self.set_interlocks(interlocks if remembered is None else remembered)

    # ---- commands

    def request(self, message: RequestCommand, conditions: Conditions) -> Verdict:
        """Judge, and pass on what is allowed."""
        command = message.command
        now = self._context.now()
        verdict = self.judge(command, conditions)
        self._judged_after = self._judged_after.and_one(self._context.now() - command.requested_at)
        self._context.publish("judged_after", self._judged_after)
        actuator = self._site.find(command.key)
        if verdict.allowed and actuator is not None:
            clearance = self._clear(command) if verdict.energising else None
            actuator.handle.tell(
                ApplyCommand(
                    correlation_id=command.correlation_id,
                    issued_by=str(command.issuer),
                    verdict=verdict,
                    clearance=clearance,
                    outcome_to=message.outcome_to,
                    priority=command.issuer.priority,
                )
            )
            actuator.desired = verdict.value
            actuator.owner = command.issuer
            actuator.set_level(verdict.value, now)
            if not verdict.energising:
                self._generation += 1
                self._gate.supersede(command.esp_id, command.gpio, self._generation)
                self.release_dependents(now)
        self._journal.tell(RecordVerdict(command=command, verdict=verdict))
        if message.verdict_to is not None:
            message.verdict_to.tell(
                CommandJudged(
                    correlation_id=command.correlation_id,
                    allowed=verdict.allowed,
                    code=verdict.code,
                    message=verdict.message,
                )
            )
        return verdict

    def _clear(self, command: Command) -> Clearance:
        self._generation += 1
        expires_at = self._context.monotonic() + COMMAND_AGE_S
        return self._gate.clear(command.esp_id, command.gpio, self._generation, expires_at)

    def judge(self, command: Command, conditions: Conditions) -> Verdict:
        """The verdict, and nothing else."""
        now = self._context.now()
        facts = self._site.facts(
            command,
            conditions.stops,
            now,
            link_up=conditions.link_up,
            record_ok=conditions.record_ok,
        )
        return judge(command, facts, now)

    def outcome(self, message: ActuatorOutcome) -> None:
        """An actuator tells how a command ended."""
        actuator = self._site.find(message.key)
        if actuator is not None:
            actuator.desired = message.desired
            if message.desired == 0.0 and not actuator.reported:
                # It may have been stamped before the clock was set back.
                actuator.set_level(0.0, min(message.outcome.at, self._context.now()))

    # ---- what there is

    def install(self, message: InstallActuator) -> None:
        """There is such an actuator, or it has changed."""
        self._take(message)
        self._show_installed()

    def _show_installed(self) -> None:
        self._context.publish(
            "installed",
            tuple(
                InstallActuator(config=actuator.config, pin_user=actuator.pin_user)
                for actuator in self._site.actuators()
            ),
        )

    def uninstall(self, key: ActuatorKey) -> None:
        """It is no more; its device is told OFF once more. Raises CommandRefused while it is on."""
        actuator = self._site.find(key)
        if actuator is None:
            return
        if actuator.desired > 0 or actuator.reported:
            raise CommandRefused(reason=f"{actuator} is on. Switch it off first.")
        actuator.handle.tell_urgent(ReleaseNow(reason="removed"))
        self._context.handle(paths.ACTUATORS).tell(StopChild(f"{key.esp_id}:{key.gpio}"))
        self._site.remove(key)
        self._show_installed()

    def _take(self, message: InstallActuator) -> None:
        config = message.config
        known = self._site.find(config.key)
        if known is not None:
            known.config = config
            known.pin_user = message.pin_user
            known.handle.tell(message)
            return
        path = paths.actuator(config.esp_id, config.gpio)
        try:
            handle = self._context.handle(path)
        except KeyError:
            spec = self._actuator_factory(config, self._context.own, self._journal)
            # The supervisor of the actuators asks nobody, so this wait is short and has no circle.
            handle = self._context.handle(paths.ACTUATORS).ask(
                StartChild(spec), timeout_s=ASK_TIMEOUT_S
            )
        actuator = GuardedActuator(config, handle, message.pin_user)
        view = self._context.look(path, "view")
        if isinstance(view, ActuatorView):
            actuator.desired = view.desired_value
            actuator.reported = view.reported_value
            if view.on_since is not None:
                # The clock may have been set back while nobody minded it.
                actuator.on_since = min(view.on_since, self._context.now())
        self._site.add(actuator)

    # ---- interlocks

    def set_interlocks(self, interlocks: tuple[Interlock, ...]) -> None:
        self._site.set_interlocks(interlocks)
        self._context.publish("interlocks", interlocks)

    def release_dependents(self, now: float) -> None:
        """Something went off: what may not run without it, goes off with it."""
        for actuator in self._site.to_release():
            actuator.desired = 0.0
            actuator.set_level(0.0, now)
            actuator.handle.tell_urgent(ReleaseNow(reason="interlock"))
            self._audit("system:interlock", f"released {actuator}")

    def _audit(self, who: str, what: str) -> None:
        entry = AuditEntry(at=self._context.now(), who=who, what=what)
        self._journal.tell(RecordAudit(entry=entry))


def _as_installation(config: ActuatorConfig) -> InstallActuator:
    return InstallActuator(config=config)
