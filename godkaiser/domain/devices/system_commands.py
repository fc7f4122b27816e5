"""The table of the commands of `system/command` (contract, section 15), and how to recognise their
replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from godkaiser.errors.base import ValidationFailed

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
TOKEN_KINDS = ("esp", "broadcast")
LONGEST_TOKEN = 64
HIGHEST_PIN = 39


class SystemCommand(msgspec.Struct, frozen=True, kw_only=True):
    """`needs_confirmation`: the caller must repeat the device id. `secret` is never stored."""

    name: str
    what: str
    admin_only: bool = False
    needs_confirmation: bool = False
    secret: str = ""


SYSTEM_COMMANDS = {
    command.name: command
    for command in (
        SystemCommand(name="status", what="state, uptime, memory, counts"),
        SystemCommand(name="diagnostics", what="the same, with chip, flash, Wi-Fi and boots"),
        SystemCommand(name="get_config", what="zone and counts, as the device has them"),
        SystemCommand(
            name="set_log_level", what="`level`: DEBUG, INFO, WARNING, ERROR or CRITICAL"
        ),
        SystemCommand(
            name="onewire/scan",
            what="`pin` (default: the board's OneWire pin): lists the ROM codes on the bus",
        ),
        SystemCommand(
            name="set_emergency_token",
            what="`token_type` (esp, broadcast) and `token`: from then on stops need it",
            admin_only=True,
            needs_confirmation=True,
            secret="token",  # noqa: S106 -- the name of the parameter
        ),
        SystemCommand(
            name="factory_reset",
            what="clears Wi-Fi and zone and reboots; the device must then be set up on site",
            admin_only=True,
            needs_confirmation=True,
        ),
    )
}
_STOPS = {"safe_mode": "emergency_stop", "exit_safe_mode": "clear_emergency"}


def parameters_of(command: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters to send, because the device accepts some wrong ones.

    Raises:
        ValidationFailed: the command is not known or a parameter is wrong; the text says which are.
    """
    if command in _STOPS:
        reason = (
            f"'{command}' is not sent as a system command: use POST /api/v1/actuators/{_STOPS[command]} with"
            " this esp_id."
        )
        raise ValidationFailed(reason=reason)
    if command not in SYSTEM_COMMANDS:
        known = ", ".join(SYSTEM_COMMANDS)
        raise ValidationFailed(reason=f"'{command[:40]}' is not a system command. Known: {known}.")
    check = _PARAMETERS.get(command, {})
    unknown = sorted(set(given) - set(check))
    if unknown:
        takes = ", ".join(check) or "none"
        reason = f"{command} has no parameter '{unknown[0][:40]}'; it takes: {takes}."
        raise ValidationFailed(reason=reason)
    for name, (is_good, expected, needed) in check.items():
        if name not in given and not needed:
            continue
        if not is_good(given.get(name)):
            raise ValidationFailed(reason=f"{command}: {name} must be {expected}.")
    extra = {"confirm": True} if command == "factory_reset" else {}
    return {**given, **extra}


def command_of_reply(fields: Mapping[str, Any]) -> str:
    """The command that a reply answers; replies have no common format and some do not name it
    (15.2).
    """
    command = fields.get("command")
    if isinstance(command, str) and command:
        return command
    if fields.get("status") == "factory_reset_initiated":
        return "factory_reset"
    if "error" in fields and ("pin" in fields or "requested_pin" in fields):
        return "onewire/scan"
    return ""


def succeeded(fields: Mapping[str, Any]) -> bool:
    if "success" in fields:
        return fields["success"] is True
    return fields.get("status") in {"ok", "factory_reset_initiated"}


def _is_pin(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HIGHEST_PIN


def _is_token(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= LONGEST_TOKEN
        and value.isascii()
        and value.isprintable()
    )


_PARAMETERS: dict[str, dict[str, tuple[Any, str, bool]]] = {
    "set_log_level": {
        "level": (lambda value: value in LOG_LEVELS, f"one of {', '.join(LOG_LEVELS)}", True)
    },
    "onewire/scan": {"pin": (_is_pin, f"a pin from 0 to {HIGHEST_PIN}", False)},
    "set_emergency_token": {
        "token_type": (lambda value: value in TOKEN_KINDS, "esp or broadcast", False),
        "token": (_is_token, f"1 to {LONGEST_TOKEN} printable ASCII characters", True),
    },
}
