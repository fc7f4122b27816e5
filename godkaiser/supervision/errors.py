"""What can go wrong between actors, for the one who sends."""

from __future__ import annotations


class SupervisionError(Exception):
    """Base of the runtime's own errors."""


class UnknownPath(SupervisionError, KeyError):
    """No actor lives at the path."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"no actor lives at {self.path}"


class MailboxFull(SupervisionError):
    """The receiver's mailbox is at its bound, and its policy is to refuse (or waited in vain)."""


class ResendRefused(SupervisionError):
    """The receiver takes no dead letters: its messages are decisions of their moment."""


class ActorStopped(SupervisionError):
    """The receiver ended for good before it handled the message."""


class ActorWaiting(SupervisionError):
    """The receiver has not started, because something outside is away; it was not delivered."""


class ActorCrashed(SupervisionError):
    """The receiver crashed on the message that was asked; the cause is chained."""


class AskTimeout(SupervisionError):
    """No reply within the time that the asker gave."""


class AskInDoubt(AskTimeout):
    """No reply in time, though the actor had begun: it may still be done."""


class AskCycle(SupervisionError):
    """The ask would wait for an actor that is, in the end, waiting for the asker."""


class RestartIntensityExceeded(SupervisionError):
    """A supervisor gave up: its children crashed more often than its intensity allows."""


class Waiting(SupervisionError):
    """Raised from `on_start` or a factory when something outside is away (a database, a broker, a
    port, a disk): the actor is tried again with backoff, is shown as waiting with this reason, and
    does not count as crashed.
    """


class StartTimeout(SupervisionError):
    """A child did not become ready within its start timeout."""


class ChildExists(SupervisionError):
    """A child of that name is supervised already."""


class TooManyTimers(SupervisionError):
    """An actor has as many pending timers as it may have."""


class ProxyRefused(SupervisionError):
    """A Pykka proxy was used on a supervised actor; send a message instead."""


class InjectedCrash(SupervisionError):
    """A crash that a test or an administrator asked for."""
