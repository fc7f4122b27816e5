"""Errors at the start of the process and at a reload."""

from __future__ import annotations

import errno

from godkaiser.errors.base import GatewayError


class StartupFailed(GatewayError):
    """The gateway cannot start; the message tells the administrator what to change."""

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
    """The changed files cannot be applied; `problems` has a line for each mistake."""

    code, status = "RELOAD_REFUSED", 409
    template = "{reason}"


class PassingCondition(StartupFailed):
    """The gateway cannot start now, but the cause is temporary, so a later try may succeed."""


class DatabaseAway(PassingCondition):
    """The database cannot be used now: for example its server is starting, or a tool has locked it."""


_LASTING = frozenset({
    errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOTDIR,
})  # fmt: skip


def startup_failure(reason: str, error: OSError) -> StartupFailed:
    """The error for a failed start: temporary or permanent, by the system error."""
    kind = StartupFailed if error.errno in _LASTING else PassingCondition
    return kind(reason=reason)
