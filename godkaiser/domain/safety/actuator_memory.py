"""The stored part of an actuator's state, and how a new process restores it.

Times are from the boot-time clock, and belong to the boot in which they were written. After
another boot leases are over, and rest begins again.
"""

from __future__ import annotations

import msgspec

from godkaiser.domain.entities import ActuatorConfig, Issuer
from godkaiser.domain.safety.actuator_events import Doubted
from godkaiser.domain.safety.actuator_machine import step
from godkaiser.domain.safety.actuator_state import ActuatorState, is_known_off


class KeptActuator(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is the time of writing; `in_doubt`: the actuator was not known off then."""

    boot_id: str
    at: float
    desired: float = 0.0
    owner: Issuer = Issuer("system", "start")
    lease_until: float | None = None
    lease_reason: str = ""
    on_since: float | None = None
    off_since: float | None = None
    switches: tuple[tuple[float, bool], ...] = ()
    generation: int = 0
    in_doubt: bool = False
    anonymous: bool = False


def kept(state: ActuatorState, boot_id: str, now: float) -> KeptActuator:
    return KeptActuator(
        boot_id=boot_id,
        at=now,
        desired=state.desired,
        owner=state.owner,
        lease_until=state.lease_until,
        lease_reason=state.lease_reason,
        on_since=state.on_since,
        off_since=state.off_since,
        # Without an hourly limit, the history of an hour is not needed.
        switches=state.switches if _has_hourly_limits(state.config) else state.switches[-2:],
        generation=state.generation,
        in_doubt=not is_known_off(state),
        anonymous=state.anonymous,
    )


def is_worth_keeping(before: ActuatorState, after: ActuatorState) -> bool:
    """Whether the change matters to a later process."""
    return (
        before.generation != after.generation
        or before.desired != after.desired
        or before.lease_until != after.lease_until
        or before.on_since != after.on_since
        or before.off_since != after.off_since
        or is_known_off(before) != is_known_off(after)
    )


def restored(
    config: ActuatorConfig, memory: KeptActuator | None, boot_id: str, now: float
) -> ActuatorState:
    """The initial state in a new process; no actuator is known off before it was reported."""
    if memory is None:
        return ActuatorState(config=config)
    same_boot = memory.boot_id == boot_id and memory.at <= now
    # Events of another boot are shifted, as if they had happened just now.
    shift = 0.0 if same_boot else now - memory.at
    lease_until = memory.lease_until
    runs_on = same_boot and memory.desired > 0.0 and lease_until is not None and lease_until > now
    off_since = memory.off_since if memory.off_since is None else memory.off_since + shift
    if config.min_off_s > 0.0 and not runs_on:
        # The last moments before a sudden end may be missing here, so rest counts from the start.
        off_since = now
    state = ActuatorState(
        config=config,
        generation=memory.generation,
        desired=memory.desired if runs_on else 0.0,
        owner=memory.owner,
        lease_until=lease_until if runs_on else None,
        lease_reason=memory.lease_reason if runs_on else "",
        on_since=None if memory.on_since is None else memory.on_since + shift,
        off_since=off_since,
        switches=tuple((at + shift, on) for at, on in memory.switches),
        off_proven=not (memory.in_doubt or memory.desired > 0.0),
        anonymous=memory.anonymous,
    )
    if memory.in_doubt and not runs_on:
        state, _ = step(state, Doubted(), now)
    return state


def _has_hourly_limits(config: ActuatorConfig) -> bool:
    return config.max_on_s_per_hour > 0.0 or config.max_switches_per_hour > 0
