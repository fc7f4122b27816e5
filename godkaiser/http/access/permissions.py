"""Who may do what: one row for each endpoint. None means: no token needed."""

from __future__ import annotations

from enum import IntEnum

API = "/api/v1"


class Role(IntEnum):
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()


ROLES = {role.word: role for role in Role}

PERMISSIONS: dict[tuple[str, str], Role | None] = {
    ("GET", "/health"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
    ("GET", "/docs/{name}"): None,
    ("POST", "/auth/setup"): None,
    ("POST", "/auth/login"): None,
    ("POST", "/auth/refresh"): None,
    ("POST", "/auth/logout"): Role.VIEWER,
    ("GET", "/auth/me"): Role.VIEWER,
    ("POST", "/auth/password"): Role.VIEWER,
    ("GET", "/auth/keys"): Role.ADMIN,
    ("POST", "/auth/keys"): Role.ADMIN,
    ("DELETE", "/auth/keys/{key_id}"): Role.ADMIN,
    ("POST", "/auth/keys/{key_id}/rotate"): Role.ADMIN,
    ("GET", "/users"): Role.ADMIN,
    ("POST", "/users"): Role.ADMIN,
    ("PATCH", "/users/{username}"): Role.ADMIN,
    ("DELETE", "/users/{username}"): Role.ADMIN,
    ("GET", "/esp/devices"): Role.VIEWER,
    ("GET", "/esp/devices/{device_id}"): Role.VIEWER,
    ("POST", "/esp/register"): Role.OPERATOR,
    ("POST", "/esp/devices/{device_id}/approve"): Role.OPERATOR,
    ("POST", "/esp/devices/{device_id}/reject"): Role.OPERATOR,
    ("PATCH", "/esp/devices/{device_id}"): Role.OPERATOR,
    ("DELETE", "/esp/devices/{device_id}"): Role.ADMIN,
    ("GET", "/esp/devices/{device_id}/diagnostics"): Role.VIEWER,
    ("POST", "/esp/devices/{device_id}/commands"): Role.OPERATOR,
    ("GET", "/esp/devices/{device_id}/commands"): Role.VIEWER,
    ("GET", "/esp/devices/{device_id}/commands/{correlation_id}"): Role.VIEWER,
    ("POST", "/esp/devices/{device_id}/onewire/scan"): Role.OPERATOR,
    ("POST", "/esp/devices/{device_id}/broker-account"): Role.ADMIN,
    ("DELETE", "/esp/devices/{device_id}/broker-account"): Role.ADMIN,
    ("PUT", "/esp/devices/{device_id}/zone"): Role.OPERATOR,
    ("DELETE", "/esp/devices/{device_id}/zone"): Role.OPERATOR,
    ("PUT", "/esp/devices/{device_id}/subzones/{subzone_id}"): Role.OPERATOR,
    ("DELETE", "/esp/devices/{device_id}/subzones/{subzone_id}"): Role.OPERATOR,
    ("POST", "/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode"): Role.OPERATOR,
    ("GET", "/zones"): Role.VIEWER,
    ("GET", "/sensors"): Role.VIEWER,
    ("POST", "/sensors/{esp_id}/{gpio}/measure"): Role.OPERATOR,
    ("DELETE", "/sensors/{esp_id}/{gpio}/{sensor_type}"): Role.OPERATOR,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration"): Role.VIEWER,
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration"): Role.OPERATOR,
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/undo"): Role.OPERATOR,
    ("DELETE", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}"): Role.OPERATOR,
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/points"): (
        Role.OPERATOR
    ),
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/apply"): (
        Role.OPERATOR
    ),
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation"): Role.VIEWER,
    ("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation"): Role.OPERATOR,
    ("DELETE", "/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation"): Role.OPERATOR,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/latest"): Role.VIEWER,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/readings"): Role.VIEWER,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/statistics"): Role.VIEWER,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}/export"): Role.VIEWER,
    ("GET", "/sensors/{esp_id}/{gpio}/{sensor_type}"): Role.VIEWER,
    ("GET", "/actuators/{esp_id}/{gpio}"): Role.VIEWER,
    ("GET", "/users/{username}"): Role.ADMIN,
    ("DELETE", "/actuators/{esp_id}/{gpio}"): Role.OPERATOR,
    ("POST", "/sensors/{esp_id}/{gpio}"): Role.OPERATOR,
    ("GET", "/sensors/data"): Role.VIEWER,
    ("POST", "/sensors/data"): Role.OPERATOR,
    ("POST", "/sensors/data/batch"): Role.OPERATOR,
    ("GET", "/actuators"): Role.VIEWER,
    ("POST", "/actuators/{esp_id}/{gpio}"): Role.OPERATOR,
    ("POST", "/actuators/command"): Role.OPERATOR,
    ("POST", "/actuators/{esp_id}/{gpio}/command"): Role.OPERATOR,
    ("GET", "/actuators/commands"): Role.VIEWER,
    ("POST", "/actuators/emergency_stop"): Role.OPERATOR,
    ("POST", "/actuators/clear_emergency"): Role.OPERATOR,
    ("POST", "/actuators/resume"): Role.OPERATOR,
    ("GET", "/actuators/{esp_id}/{gpio}/explain"): Role.VIEWER,
    ("POST", "/actuators/{esp_id}/{gpio}/hold"): Role.OPERATOR,
    ("DELETE", "/actuators/{esp_id}/{gpio}/hold"): Role.OPERATOR,
    ("GET", "/safety/status"): Role.VIEWER,
    ("GET", "/safety/interlocks"): Role.VIEWER,
    ("PUT", "/safety/interlocks"): Role.ADMIN,
    ("GET", "/logic/rules"): Role.VIEWER,
    ("POST", "/logic/rules"): Role.OPERATOR,
    ("POST", "/logic/rules/test"): Role.OPERATOR,
    ("GET", "/logic/explain"): Role.VIEWER,
    ("GET", "/logic/rules/{rule_id}"): Role.VIEWER,
    ("GET", "/logic/rules/{rule_id}/versions"): Role.VIEWER,
    ("GET", "/logic/rules/{rule_id}/history"): Role.VIEWER,
    ("PUT", "/logic/rules/{rule_id}"): Role.OPERATOR,
    ("DELETE", "/logic/rules/{rule_id}"): Role.OPERATOR,
    ("GET", "/audit/log"): Role.ADMIN,
    ("GET", "/audit/statistics"): Role.ADMIN,
    ("GET", "/system/jobs"): Role.VIEWER,
    ("POST", "/system/jobs/{job}/run"): Role.ADMIN,
    ("GET", "/webhooks"): Role.ADMIN,
    ("POST", "/webhooks"): Role.ADMIN,
    ("GET", "/webhooks/{webhook_id}"): Role.ADMIN,
    ("PATCH", "/webhooks/{webhook_id}"): Role.ADMIN,
    ("DELETE", "/webhooks/{webhook_id}"): Role.ADMIN,
    ("POST", "/webhooks/{webhook_id}/test"): Role.ADMIN,
    ("GET", "/auth/signing-keys"): Role.ADMIN,
    ("POST", "/auth/signing-keys/rotate"): Role.ADMIN,
    ("GET", "/system/broker-accounts"): Role.ADMIN,
    ("GET", "/system/tree"): Role.VIEWER,
    ("GET", "/system/events"): Role.VIEWER,
    ("GET", "/metrics"): Role.VIEWER,
    ("GET", "/system/storage"): Role.VIEWER,
    ("GET", "/system/live"): Role.VIEWER,
    ("GET", "/system/dead-letters"): Role.VIEWER,
    ("POST", "/system/dead-letters/{letter_id}/resend"): Role.ADMIN,
    ("POST", "/system/actors/restart"): Role.ADMIN,
    ("POST", "/system/reload"): Role.ADMIN,
    ("POST", "/system/actors/crash"): Role.ADMIN,
    ("GET", "/debug/mock-esp"): Role.ADMIN,
    ("POST", "/debug/mock-esp"): Role.ADMIN,
    ("GET", "/debug/mock-esp/{mock_id}"): Role.ADMIN,
    ("DELETE", "/debug/mock-esp/{mock_id}"): Role.ADMIN,
    ("POST", "/debug/mock-esp/{mock_id}/sensors/{gpio}"): Role.ADMIN,
    ("POST", "/debug/mock-esp/{mock_id}/faults"): Role.ADMIN,
}


def allowed_methods(template: str) -> str:
    """What may be asked of a path of the table: the value of `Allow`."""
    found = {method for method, path in PERMISSIONS if path == template}
    return ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set()) | {"OPTIONS"}))


EVENTS: dict[str, tuple[str, str]] = {
    "reading": ("GET", "/sensors/data"),
    "actuator": ("GET", "/actuators"),
    "device": ("GET", "/esp/devices"),
    "rule": ("GET", "/logic/rules"),
    "safety": ("GET", "/safety/status"),
    "system": ("GET", "/system/events"),
}
"""The live socket: an event of this type is for those who may read it at that endpoint."""
AREAS = tuple(sorted({path.split("/")[1] for _, path in PERMISSIONS}))
"""What the scope of an API key may name: the first words of the paths."""
_PEOPLES_PATHS = (
    "/users", "/auth/keys", "/auth/signing-keys", "/auth/password", "/auth/logout", "/debug",
    "/system/actors",
)  # fmt: skip
FOR_PEOPLE = frozenset(
    (method, path)
    for method, path in PERMISSIONS
    if path.startswith(_PEOPLES_PATHS)
    or (method != "GET" and (path.startswith("/webhooks") or path.endswith("/broker-account")))
)
"""Not for API keys: somebody who has stolen one leaves nothing behind that outlives it (another key, a user, a
webhook, an account with the broker), and crashes nothing.
"""
NEVER_LATE = frozenset(
    {
        ("POST", "/actuators/clear_emergency"),
        ("POST", "/actuators/resume"),
        ("DELETE", "/actuators/{esp_id}/{gpio}/hold"),
        ("POST", "/esp/devices/{device_id}/commands"),
        ("POST", "/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode"),
        ("POST", "/esp/devices/{device_id}/approve"),
        ("POST", "/logic/rules"),
        ("PUT", "/logic/rules/{rule_id}"),
        ("POST", "/system/dead-letters/{letter_id}/resend"),
    }
)
"""Requests that let something be energised: refused when they waited during a stall of the gateway. Commands to
actuators are checked one by one, because OFF is never too late.
"""
FOR_DEBUGGING = frozenset(
    (method, path)
    for method, path in PERMISSIONS
    if path.startswith("/debug") or path == "/system/actors/crash"
)
"""Off unless `[debug] endpoints` opens them."""
