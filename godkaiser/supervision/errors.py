"""The errors that a sender can get from the runtime."""

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
    """The receiver's mailbox is full, and its policy refuses (or the wait for space timed out)."""


class ResendRefused(SupervisionError):
    """The receiver takes no dead letters: its messages are decisions that are valid only when they
    are made.
    """


class ActorStopped(SupervisionError):
    """The receiver ended for good before it handled the message."""


class ActorWaiting(SupervisionError):
    """The receiver has not started, because something outside is unavailable; nothing was
    delivered.
    """


class ActorCrashed(SupervisionError):
    """The receiver crashed while it handled the asked message; the cause is chained."""


class AskTimeout(SupervisionError):
    """No reply within the time that the asker gave."""


class AskInDoubt(AskTimeout):
    """No reply in time, although the actor had begun: the outcome is unknown."""


class AskCycle(SupervisionError):
    """The ask would wait for an actor that, directly or through others, waits for the asker."""


class RestartIntensityExceeded(SupervisionError):
    """A supervisor gave up: its children crashed more often than its intensity allows."""


class Waiting(SupervisionError):
    """Raised from `on_start` or a factory when something outside is unavailable (a database, a
    broker, a port, a disk): the start is tried again with backoff, the actor is shown as waiting
    with this reason, and this does not count as a crash.
    """


class StartTimeout(SupervisionError):
    """A child did not become ready within its start timeout."""


class ChildExists(SupervisionError):
    """The supervisor already has a child of that name."""


class TooManyTimers(SupervisionError):
    """The actor already has the maximum number of pending timers."""


class ProxyRefused(SupervisionError):
    """A Pykka proxy was used on a supervised actor; send a message instead."""


class InjectedCrash(SupervisionError):
    """A crash that a test or an administrator asked for."""
