"""The outcome of each intent: published at once, or kept in flash and published later (contract,
section 16).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from godkaiser.protocol.topics import Tail
from godkaiser.simulator.firmware import parsing
from godkaiser.simulator.firmware.core import Core

REMEMBERED = 32
KEPT_IN_FLASH = 48
REPLAYED_AT_ONCE = 2
RETRY_LIMIT = 5
_LEGACY = {"persisted": "success", "accepted": "processing", "applied": "processing"}
_RETRYABLE = frozenset(("QUEUE_FULL", "CONFIG_LANE_BUSY", "REGISTRATION_PENDING", "COMMIT_FAILED"))


@dataclass(frozen=True, slots=True)
class Intent:
    """The ids of one request; `arrived` and the lifetime are seconds of the device's own clock."""

    intent_id: str
    correlation_id: str
    given_correlation_id: str
    generation: int
    ttl_ms: int
    arrived: float
    epoch: int

    def expired(self, now: float) -> bool:
        return self.ttl_ms > 0 and now - self.arrived > self.ttl_ms / 1000.0


class Outcomes:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._finished: deque[str] = deque(maxlen=REMEMBERED)

    def intent(self, body: dict[str, Any] | None, prefix: str) -> Intent:
        """The ids of a message; missing ones are made."""
        core, body = self._core, body or {}
        given = parsing.identifier(body, "correlation_id")
        return Intent(
            parsing.identifier(body, "intent_id") or core.invent(prefix),
            given or core.invent(f"fw_{core.device_id}" if prefix in {"zone", "subz"} else "corr"),
            given,
            parsing.integer(body.get("generation")),
            parsing.integer(body.get("ttl_ms")),
            core.now,
            core.safety_epoch,
        )

    def tell(self, flow: str, intent: Intent, outcome: str, code: str, reason: str = "") -> None:
        """Publish a terminal outcome, once for each intent; the first one wins."""
        core = self._core
        if not core.personality.correlates:
            return
        terminal = outcome != "accepted"
        if terminal:
            if intent.intent_id in self._finished:
                return
            self._finished.append(intent.intent_id)
        body = {
            "seq": core.next_seq(),
            "flow": flow,
            "intent_id": intent.intent_id,
            "correlation_id": intent.correlation_id,
            "generation": max(intent.generation, 0),
            "created_at_ms": core.uptime_ms,
            "ttl_ms": intent.ttl_ms,
            "epoch": intent.epoch,
            "outcome": outcome,
            "contract_version": 2,
            "semantic_mode": "target",
            "legacy_status": _LEGACY.get(outcome, outcome),
            "target_status": outcome,
            "code": code,
            "reason": reason or code.replace("_", " ").lower(),
            "retryable": code in _RETRYABLE,
            "critical": terminal,
            "retry_limit": RETRY_LIMIT,
            "retry_count": 0,
            "recovered": False,
            "delivery_mode": "direct",
        }
        if not terminal or core.outbox.passes(Tail.INTENT_OUTCOME):
            self._publish(body)
        else:
            self._keep(body)

    def replay(self) -> None:
        """Publish kept outcomes, two at a time, once registered (16.3)."""
        kept = self._core.memory.outcomes
        if not kept or not self._core.outbox.passes(Tail.INTENT_OUTCOME):
            return
        for _ in range(min(REPLAYED_AT_ONCE, len(kept))):
            body = kept.pop(0)
            body |= {
                "retry_count": body["retry_count"] + 1,
                "recovered": True,
                "delivery_mode": "recovered",
            }
            self._core.counts["outcome_recovered_count"] += 1
            if not self._publish(body) and body["retry_count"] < RETRY_LIMIT:
                kept.append(body)

    def _publish(self, body: dict[str, Any]) -> bool:
        counts = self._core.counts
        sent = self._core.publish(
            Tail.INTENT_OUTCOME,
            body
            | {
                "outcome_retry_count": counts["outcome_retry_count"],
                "outcome_recovered_count": counts["outcome_recovered_count"],
                "outcome_drop_count_critical": counts["critical_outcome_drop_count"],
                "outcome_final_confirmed_count": counts["outcome_final_confirmed_count"],
                "ts": self._core.unix,
            },
        )
        counts["outcome_final_confirmed_count"] += sent and body["critical"]
        return sent

    def _keep(self, body: dict[str, Any]) -> None:
        kept = self._core.memory.outcomes
        if len(kept) >= KEPT_IN_FLASH:
            kept.pop(0)
            self._core.counts["critical_outcome_drop_count"] += 1
        kept.append(body)
