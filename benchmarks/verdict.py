"""What the judgement of a command costs."""

from __future__ import annotations

import time

from benchmarks.table import Row, median
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    ActuatorType,
    Approval,
    Command,
    Issuer,
    Verb,
)
from godkaiser.domain.safety.interlocks import Interlock, InterlockKind, OtherActuator
from godkaiser.domain.safety.safety import ActuatorFacts, CommandFacts, DeviceFacts, judge

NOW = 1_767_096_000.0
FAN, PUMP = ActuatorKey("ESP_A00001", 25), ActuatorKey("ESP_A00001", 26)


def run(*, quick: bool) -> list[Row]:
    facts = CommandFacts(
        stop=None,
        device=DeviceFacts(approval=Approval.APPROVED, online=True),
        actuator=ActuatorFacts(
            config=ActuatorConfig(
                esp_id=FAN.esp_id,
                gpio=FAN.gpio,
                actuator_type=ActuatorType.RELAY,
                min_off_s=1.0,
                max_on_s_per_hour=1000.0,
                max_switches_per_hour=20,
            ),
            reported=0.0,
            off_since=NOW - 60,
        ),
        link_up=True,
        interlocks=(Interlock(kind=InterlockKind.NEVER_WITH, actuator=FAN, other=PUMP),),
        others={PUMP: OtherActuator(reported=0.0)},
    )
    command = Command(
        esp_id=FAN.esp_id,
        gpio=FAN.gpio,
        verb=Verb.ON,
        value=None,
        duration_s=30.0,
        issuer=Issuer("rule", "1"),
        correlation_id="c",
        requested_at=NOW,
        decided_at=NOW,
    )
    if not judge(command, facts, NOW).allowed:
        raise RuntimeError("the command of this benchmark must pass every check")
    count = 2_000 if quick else 20_000
    times = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(count):
            judge(command, facts, NOW)
        times.append((time.perf_counter() - began) / count * 1e6)
    cost = median(times)
    return [
        Row(
            what="a verdict with every check, limits and an interlock",
            ours=cost,
            unit="µs",
            target="< 50",
            reached=cost < 50,
        )
    ]
