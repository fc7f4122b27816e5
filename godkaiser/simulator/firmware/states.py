"""System states, and the commands that each of them admits (contract, section 6.2)."""

from __future__ import annotations

NAMES = (
    "BOOT",
    "WIFI_SETUP",
    "WIFI_CONNECTED",
    "MQTT_CONNECTING",
    "MQTT_CONNECTED",
    "AWAITING_USER_CONFIG",
    "ZONE_CONFIGURED",
    "SENSORS_CONFIGURED",
    "CONFIG_PENDING_AFTER_RESET",
    "OPERATIONAL",
    "PENDING_APPROVAL",
    "LIBRARY_DOWNLOADING",
    "SAFE_MODE",
    "SAFE_MODE_PROVISIONING",
    "ERROR",
)
ZONE_CONFIGURED, CONFIG_PENDING, OPERATIONAL, PENDING_APPROVAL = 6, 8, 9, 10
LIBRARY_DOWNLOADING, SAFE_MODE, SAFE_MODE_PROVISIONING, ERROR = 11, 12, 13, 14
DEGRADED = frozenset(
    (CONFIG_PENDING, LIBRARY_DOWNLOADING, SAFE_MODE, SAFE_MODE_PROVISIONING, ERROR)
)
ALLOWED_WHILE_LIMITED = frozenset(
    ("status", "diagnostics", "get_config", "set_log_level", "safe_mode")
)
_BLOCKED = {
    PENDING_APPROVAL: "PENDING_APPROVAL_BLOCKED",
    CONFIG_PENDING: "CONFIG_PENDING_BLOCKED",
    SAFE_MODE: "SAFETY_LOCKED",
    LIBRARY_DOWNLOADING: "DEGRADED_MODE_BLOCKED",
    SAFE_MODE_PROVISIONING: "DEGRADED_MODE_BLOCKED",
    ERROR: "DEGRADED_MODE_BLOCKED",
}


def blocks_command(state: int, *, gate_open: bool) -> str:
    """The code with which an actuator or sensor command is rejected; "" if it is admitted."""
    return _BLOCKED.get(state, "") if gate_open else "REGISTRATION_PENDING"


def blocks_system_command(state: int, verb: str, *, gate_open: bool) -> str:
    if not gate_open:
        return "REGISTRATION_PENDING"
    return "" if verb in ALLOWED_WHILE_LIMITED else _BLOCKED.get(state, "")


def accepted_code(state: int, *, config: bool) -> str:
    """The code of the `accepted` outcome (section 16.2)."""
    what = "CONFIG" if config else "ALLOWLIST"
    if state == PENDING_APPROVAL:
        return f"PENDING_APPROVAL_{what}_ACCEPTED"
    if state == CONFIG_PENDING:
        return "CONFIG_PENDING_CONFIG_ACCEPTED" if config else "PENDING_ALLOWLIST_ACCEPTED"
    return f"DEGRADED_{what}_ACCEPTED" if state in DEGRADED else "COMMAND_ACCEPTED"
