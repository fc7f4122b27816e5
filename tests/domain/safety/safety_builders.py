"""Facts and commands with valid defaults: everything in them allows to energise."""

from __future__ import annotations

from typing import Any

from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Approval,
    Command,
    Issuer,
    Verb,
)
from godkaiser.domain.safety.safety import ActuatorFacts, CommandFacts, DeviceFacts
from godkaiser.domain.safety.stop_state import GLOBAL, SafetyState, StopRecord, stop

NOW = 1_767_096_000.0
PUMP = ActuatorKey("ESP_4F3A9C", 25)
VALVE = ActuatorKey("ESP_4F3A9C", 26)
OPERATOR = Issuer("user", "1")
RULE = Issuer("rule", "1", 100)


def a_config(**changes: Any) -> ActuatorConfig:
    fields: dict[str, Any] = {
        "esp_id": PUMP.esp_id,
        "gpio": PUMP.gpio,
        "actuator_type": ActuatorType.PUMP,
        **changes,
    }
    return ActuatorConfig(**fields)


def an_actuator(config: ActuatorConfig | None = None, **changes: Any) -> ActuatorFacts:
    return ActuatorFacts(config=config or a_config(), **{"reported": 0.0, **changes})


def a_device(**changes: Any) -> DeviceFacts:
    return DeviceFacts(**{"approval": Approval.APPROVED, "online": True, **changes})


def facts(**changes: Any) -> CommandFacts:
    fields: dict[str, Any] = {
        "stop": None,
        "device": a_device(),
        "actuator": an_actuator(),
        "link_up": True,
        **changes,
    }
    return CommandFacts(**fields)


def a_command(verb: Verb = Verb.ON, **changes: Any) -> Command:
    fields: dict[str, Any] = {
        "esp_id": PUMP.esp_id,
        "gpio": PUMP.gpio,
        "verb": verb,
        "issuer": OPERATOR,
        "correlation_id": "c-1",
        "requested_at": NOW,
        "decided_at": NOW,
        **changes,
    }
    return Command(**fields)


def a_stop() -> StopRecord:
    state = stop(SafetyState(), GLOBAL, by="user:1", reason="leak", now=NOW)
    return state.records[0]
