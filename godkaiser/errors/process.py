"""Why the process does not start, or does not take a changed configuration."""

from __future__ import annotations

import errno

from godkaiser.errors.base import GatewayError


class StartupFailed(GatewayError):
    """The gateway cannot start; the message tells the admin what to change."""

    code = "STARTUP_FAILED"
    template = "{reason}"


class ExtraMissing(StartupFailed):
    """Something was asked for that an extra of the package brings, and it is not installed."""

    code, status = "EXTRA_MISSING", 501
    template = (
        "{for_what} needs the Python package {module}, which is not installed. Install it:"
        " pip install 'godkaiser[{extra}]'"
    )


class ReloadRefused(GatewayError):
    """The changed files cannot be taken; `problems` has a line for each mistake."""

    code, status = "RELOAD_REFUSED", 409
    template = "{reason}"


class PassingCondition(StartupFailed):
    """The gateway cannot start now, but the cause may pass by itself, so that a later try helps."""


class DatabaseAway(PassingCondition):
    """The database cannot be used now: its server is starting, or a tool has locked it."""


_LASTING = frozenset({
    errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOTDIR,
})  # fmt: skip


def startup_failure(reason: str, error: OSError) -> StartupFailed:
    """The failure of a start for a system error, by whether its cause may pass."""
    kind = StartupFailed if error.errno in _LASTING else PassingCondition
    return kind(reason=reason)
