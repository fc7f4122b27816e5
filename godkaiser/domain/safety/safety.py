"""The public names of the verdict. `judge` lists every check with its result and its reason.

A verdict never raises: bad input is refused. OFF is allowed whenever the actuator
is known, whatever else is in doubt (law 3). The facts are in `safety_facts`, the meaning of a
command in `safety_level`, the checks in `safety_judge`, the stops in `safety_state`.
"""

from godkaiser.domain.safety.facts import (
    ActuatorFacts,
    Check,
    CommandFacts,
    DeviceFacts,
    Hold,
    Verdict,
)
from godkaiser.domain.safety.judge import CHECKS, MOST_AGE_S, judge, most_age_s
from godkaiser.domain.safety.level import DEFAULT_MAX_RUNTIME_S, MAX_DURATION_S

__all__ = [
    "CHECKS",
    "DEFAULT_MAX_RUNTIME_S",
    "MAX_DURATION_S",
    "MOST_AGE_S",
    "ActuatorFacts",
    "Check",
    "CommandFacts",
    "DeviceFacts",
    "Hold",
    "Verdict",
    "judge",
    "most_age_s",
]
