"""Judges commands and passes them on to the actuators; used by the safety actor only.

A command is judged by the states here, including the commands that were allowed before it, so two
commands at the same instant are judged one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import InstallActuator
from godkaiser.actors.safety.messages import CommandJudged, RequestCommand
from godkaiser.actors.safety.plant import Plant
from godkaiser.actors.storage.journal import RecordVerdict
from godkaiser.domain.entities import ActuatorConfig, ActuatorKey, Command, Issuer
from godkaiser.domain.records.latency import Latencies
from godkaiser.domain.safety.actuator_events import Configured, Doubted, ShellRestarted, SwitchOn
from godkaiser.domain.safety.actuator_memory import KeptActuator, restored
from godkaiser.domain.safety.actuator_state import ActuatorState, is_energised
from godkaiser.domain.safety.interlocks import Interlock
from godkaiser.domain.safety.safety import Verdict, judge, most_age_s
from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.errors.safety import CommandRefused
from godkaiser.supervision import ActorContext, ChildSpec, Handle, StopChild

REMOVED = Issuer("system", "removed")

ActuatorFactory = Callable[[ActuatorConfig, Handle], ChildSpec]


class GatewayFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for all commands: the stops, and the state of the gateway itself."""

    stops: SafetyState
    link_up: bool
    record_ok: bool


class CommandService:
    def __init__(
        self,
        context: ActorContext,
        plant: Plant,
        journal: Handle,
        actuator_factory: ActuatorFactory,
        memories: Mapping[ActuatorKey, KeptActuator],
    ) -> None:
        self._context = context
        self._plant = plant
        self._journal = journal
        self._actuator_factory = actuator_factory
        self._memories = memories
        remembered = context.recall("judged_after")
        self._judged_after = remembered if isinstance(remembered, Latencies) else Latencies()

    def begin(self, actuators: Iterable[ActuatorConfig], interlocks: tuple[Interlock, ...]) -> None:
        """Take over the configured actuators or, after a crash, those of the predecessor."""
        known: dict[ActuatorKey, ActuatorState] = {
            key[1]: value
            for key, value in self._context.recall_all().items()
            if isinstance(key, tuple) and key[0] == "actuator"
        }
        crashed = self._context.recall("begun") is True
        if crashed:
            interlocks = self._context.recall("interlocks")
            for state in known.values():
                self._plant.take_in(state, self._shell(state.config))
        else:
            for config in actuators:
                self._take_in(config, "")
        self.set_interlocks(interlocks)
        self._context.publish("begun", value=True)
        if crashed:
            # Decisions that had not reached the actor of the actuator were lost with the
            # predecessor.
            for key in known:
                self._plant.apply(key, ShellRestarted())
        else:
            self._doubt_interlocked()

    def _doubt_interlocked(self) -> None:
        """A command of the previous process may be on its way. For interlocks only an answer proves
        its end.
        """
        for state in tuple(self._plant.states()):
            if state.desired == 0.0 and self._plant.is_interlocked(state.config.key):
                self._plant.apply(state.config.key, Doubted())

    # ---- commands

    def request(self, message: RequestCommand, gateway: GatewayFacts) -> Verdict:
        """Judge a command, and pass it on if it is allowed."""
        command = message.command
        verdict = self.judge(command, gateway)
        age_s = self._context.monotonic() - command.decided_at
        self._judged_after = self._judged_after.and_one(age_s)
        self._context.publish("judged_after", self._judged_after)
        if verdict.allowed:
            self._pass_on(command, verdict, message.outcome_to)
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

    def _pass_on(self, command: Command, verdict: Verdict, waiter: object) -> None:
        key, correlation_id = command.key, command.correlation_id
        if verdict.energising:
            event = SwitchOn(
                correlation_id=correlation_id,
                level=verdict.value,
                lease_s=verdict.lease_s,
                lease_reason=verdict.lease_ends,
                issuer=command.issuer,
            )
            expires_at = command.decided_at + most_age_s(command)
            self._plant.switch_on(key, event, expires_at, waiter)
        else:
            self._plant.switch_off(key, command.issuer, correlation_id, waiter)

    def judge(self, command: Command, gateway: GatewayFacts) -> Verdict:
        """The verdict, without any effect."""
        now = self._context.monotonic()
        facts = self._plant.facts(
            command,
            gateway.stops,
            now,
            link_up=gateway.link_up,
            record_ok=gateway.record_ok,
        )
        return judge(command, facts, now)

    # ---- configuration

    def install(self, message: InstallActuator) -> None:
        """An actuator was added or changed."""
        config = message.config
        if self._plant.find(config.key) is None:
            self._take_in(config, message.pin_user)
        else:
            event = Configured(config=config, pin_user=message.pin_user)
            self._plant.apply(config.key, event)

    def uninstall(self, key: ActuatorKey) -> None:
        """An actuator was removed; its device is sent OFF once more. Raises CommandRefused while it
        is on.
        """
        state = self._plant.find(key)
        if state is None:
            return
        if is_energised(state):
            raise CommandRefused(reason=f"{state} is on. Switch it off first.")
        self._plant.switch_off(key, REMOVED)
        self._context.handle(paths.ACTUATORS).tell(StopChild(f"{key.esp_id}:{key.gpio}"))
        self._plant.remove(key)

    def set_interlocks(self, interlocks: tuple[Interlock, ...]) -> None:
        self._plant.set_interlocks(interlocks)
        self._context.publish("interlocks", interlocks)

    def _take_in(self, config: ActuatorConfig, pin_user: str) -> None:
        now = self._context.monotonic()
        memory = self._memories.get(config.key)
        state = restored(config, memory, self._context.boot_id(), now)
        state = msgspec.structs.replace(state, pin_user=pin_user)
        self._plant.take_in(state, self._shell(config))

    def _shell(self, config: ActuatorConfig) -> Handle:
        """The handle of its actor; the supervisor starts the actor later."""
        spec = self._actuator_factory(config, self._context.own)
        return self._context.adopt(paths.ACTUATORS, spec)
