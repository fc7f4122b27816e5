"""Supervision to OTP's standard on Pykka. It does not depend on what the actors do.

Read `spec.py` (what a child is), `strategy.py` (what a supervisor decides), `supervisor.py` (how it
does it), `cell.py` (what survives a restart).
"""

from godkaiser.supervision.actor import Actor, ActorContext
from godkaiser.supervision.cell import ActorState
from godkaiser.supervision.dead_letters import DeadLetter, DeadLetters, Reason
from godkaiser.supervision.errors import (
    ActorCrashed,
    ActorStopped,
    ActorWaiting,
    AskCycle,
    AskInDoubt,
    AskTimeout,
    ChildExists,
    InjectedCrash,
    MailboxFull,
    ResendRefused,
    RestartIntensityExceeded,
    SupervisionError,
    UnknownPath,
    Waiting,
)
from godkaiser.supervision.events import EventLog, LifeEvent, LifeStep
from godkaiser.supervision.handle import Handle
from godkaiser.supervision.reply import Reply
from godkaiser.supervision.runtimes.runtime import Runtime, ThreadedRuntime
from godkaiser.supervision.runtimes.simulation import Chances, SimulatedCrash, SimulatedRuntime
from godkaiser.supervision.spec import (
    Backoff,
    ChildSpec,
    Intensity,
    MailboxSpec,
    Overflow,
    Restart,
    Strategy,
)
from godkaiser.supervision.supervisor import Supervisor, supervisor
from godkaiser.supervision.system import ActorInfo, ActorSystem
from godkaiser.supervision.system_messages import Down, RestartChild, StartChild, StopChild

__all__ = [
    "Actor",
    "ActorContext",
    "ActorCrashed",
    "ActorInfo",
    "ActorState",
    "ActorStopped",
    "ActorSystem",
    "ActorWaiting",
    "AskCycle",
    "AskInDoubt",
    "AskTimeout",
    "Backoff",
    "Chances",
    "ChildExists",
    "ChildSpec",
    "DeadLetter",
    "DeadLetters",
    "Down",
    "EventLog",
    "Handle",
    "InjectedCrash",
    "Intensity",
    "LifeEvent",
    "LifeStep",
    "MailboxFull",
    "MailboxSpec",
    "Overflow",
    "Reason",
    "Reply",
    "ResendRefused",
    "Restart",
    "RestartChild",
    "RestartIntensityExceeded",
    "Runtime",
    "SimulatedCrash",
    "SimulatedRuntime",
    "StartChild",
    "StopChild",
    "Strategy",
    "SupervisionError",
    "Supervisor",
    "ThreadedRuntime",
    "UnknownPath",
    "Waiting",
    "supervisor",
]
