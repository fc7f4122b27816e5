"""Explains why a program ends because of its database, and what to do about it.

The text of `DatabaseUnavailable` is for a gateway that keeps running; a program that ends needs
advice.
"""

from __future__ import annotations

from collections.abc import Iterator

from godkaiser.errors.process import DatabaseAway, StartupFailed
from godkaiser.errors.storage import DatabaseUnavailable

_LACKS_RIGHT = {"42501", "3F000"}
"""Permission denied; no usable schema."""
_ADVICE = (
    (
        "locked",
        DatabaseAway,
        (
            "Another program has locked it, such as a sqlite3 shell that was left open. Find it with fuser, and"
            " end it."
        ),
    ),
    ("not a database", StartupFailed, "Move the file away, or restore a backup."),
    (
        "malformed",
        DatabaseAway,
        (
            "The file is damaged. Test its disk, then restore a backup (godkaiser restore), or save what can be"
            " read of it (sqlite3 FILE .recover)."
        ),
    ),
    (
        "disk i/o",
        DatabaseAway,
        "The disk fails: look at dmesg, and restore a backup on another disk.",
    ),
    ("full", DatabaseAway, "Free some space on the disk."),
    (
        "readonly",
        DatabaseAway,
        (
            "Make the file and its folder writable for the user that runs the gateway. If the disk is mounted"
            " read-only, dmesg says why."
        ),
    ),
)
_OTHERWISE = "If the problem persists, repair the database, or restore a backup."


def unusable(error: DatabaseUnavailable) -> StartupFailed:
    """The error that ends the program because of `error`: `DatabaseAway` if it may be temporary."""
    why = str(error.details["reason"]).rstrip(".")
    if any(getattr(cause, "pgcode", None) in _LACKS_RIGHT for cause in _causes(error)):
        advice = (
            "The user in [database] url lacks this right. As the owner of the database: GRANT CREATE, USAGE ON"
            " SCHEMA public TO that user, or ALTER DATABASE ... OWNER TO it."
        )
        return StartupFailed(reason=f"{why}. {advice}")
    for sign, kind, advice in _ADVICE:
        if sign in why.lower():
            return kind(reason=f"{why}. {advice}")
    return DatabaseAway(reason=f"{why}. {_OTHERWISE}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The chain of causes; peewee's errors contain those of the driver as their argument."""
    cause = error.__cause__
    while cause is not None:
        yield cause
        held = cause.args[0] if cause.args else None
        cause = held if isinstance(held, BaseException) else cause.__cause__
