"""An example for each body that the API reads: in its documentation, and run in this order by the tests."""

from __future__ import annotations

from typing import Any, NamedTuple

DEVICE, TANK = "ESP_4F3A9C", "MOCK_TANK01"


class Example(NamedTuple):
    method: str
    template: str
    path: dict[str, str]
    body: dict[str, Any]


_PERSON = {"username": "anna", "password": "seven long plums"}
_PH = {"esp_id": TANK, "gpio": "34", "sensor_type": "ph"}
_PUMP = {"esp_id": TANK, "gpio": "25"}
_DOSING = {
    "name": "pH down",
    "priority": 100,
    "conditions": [
        {"type": "hysteresis", "esp_id": TANK, "gpio": 34, "sensor_type": "ph",
         "activate_above": 6.5, "deactivate_below": 6.1}
    ],
    "actions": [
        {"type": "actuator", "esp_id": TANK, "gpio": 25, "command": "ON", "duration": 5}
    ],
    "cooldown_seconds": 600,
}  # fmt: skip

EXAMPLES: tuple[Example, ...] = (
    Example("POST", "/auth/setup", {}, _PERSON),
    Example("POST", "/users", {}, {**_PERSON, "role": "operator"}),
    Example("POST", "/auth/login", {}, _PERSON),
    Example("POST", "/auth/refresh", {}, {"refresh_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6..."}),
    Example("PATCH", "/users/{username}", {"username": "anna"}, {"role": "viewer"}),
    Example("POST", "/auth/keys", {}, {"name": "grafana", "role": "viewer", "areas": ["sensors", "metrics"]}),
    Example("POST", "/auth/keys/{key_id}/rotate", {"key_id": "1"}, {"overlap_seconds": 3600}),
    Example("POST", "/esp/register", {}, {"device_id": DEVICE, "name": "Bench 3", "zone_id": "greenhouse_a"}),
    Example("POST", "/esp/devices/{device_id}/approve", {"device_id": DEVICE}, {"reason": "mounted today"}),
    Example("PATCH", "/esp/devices/{device_id}", {"device_id": DEVICE}, {"name": "Bench 3, north"}),
    Example("POST", "/sensors/{esp_id}/{gpio}", {"esp_id": DEVICE, "gpio": "4"},
            {"sensor_type": "ds18b20", "name": "Soil", "address": "28FF641E8D3C0C79", "interval_s": 30}),
    Example("POST", "/actuators/{esp_id}/{gpio}", {"esp_id": DEVICE, "gpio": "25"},
            {"actuator_type": "pump", "name": "Drip line", "max_runtime_s": 600, "min_off_s": 60}),
    Example("POST", "/sensors/data", {},
            {"esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "address": "28FF641E8D3C0C79", "value": 21.5}),
    Example("POST", "/sensors/data/batch", {}, {"readings": [
        {"esp_id": DEVICE, "gpio": 4, "sensor_type": "ds18b20", "address": "28FF641E8D3C0C79", "value": 21.6}]}),
    Example("POST", "/debug/mock-esp", {}, {
        "mock_id": TANK, "approve": True,
        "sensors": [{"gpio": 34, "sensor_type": "ph", "interval_s": 1, "value": 6.2}],
        "actuators": [{"gpio": 25, "actuator_type": "pump"}, {"gpio": 26, "actuator_type": "valve"}]}),
    Example("POST", "/debug/mock-esp/{mock_id}/sensors/{gpio}", {"mock_id": TANK, "gpio": "34"}, {"value": 6.4}),
    Example("POST", "/debug/mock-esp/{mock_id}/faults", {"mock_id": TANK}, {"delay_s": 0.01}),
    Example("PUT", "/esp/devices/{device_id}/zone", {"device_id": TANK},
            {"zone_id": "greenhouse_b", "zone_name": "Greenhouse B"}),
    Example("PUT", "/esp/devices/{device_id}/subzones/{subzone_id}",
            {"device_id": TANK, "subzone_id": "north"}, {"gpios": [25], "name": "North"}),
    Example("POST", "/esp/devices/{device_id}/commands", {"device_id": TANK}, {"command": "diagnostics"}),
    Example("POST", "/esp/devices/{device_id}/onewire/scan", {"device_id": TANK}, {"pin": 4}),
    Example("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration", _PH, {"method": "ph"}),
    Example("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/points",
            {**_PH, "session_id": "1"}, {"reference": 7.0, "raw": 1880, "temperature_c": 25.0}),
    Example("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/points",
            {**_PH, "session_id": "1"}, {"reference": 4.0, "raw": 1080, "temperature_c": 25.0}),
    Example("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/calibration/{session_id}/apply",
            {**_PH, "session_id": "1"}, {"valid_days": 30}),
    Example("POST", "/sensors/{esp_id}/{gpio}/{sensor_type}/recalculation", _PH, {"start": 1790000000}),
    Example("POST", "/actuators/command", {}, {"esp_id": TANK, "gpio": 25, "command": "ON", "duration": 5}),
    Example("POST", "/actuators/{esp_id}/{gpio}/command", _PUMP, {"command": "OFF"}),
    Example("POST", "/actuators/{esp_id}/{gpio}/hold", _PUMP, {"seconds": 60}),
    Example("PUT", "/safety/interlocks", {}, {"interlocks": [
        {"kind": "only_with", "actuator": {"esp_id": TANK, "gpio": 25}, "other": {"esp_id": TANK, "gpio": 26}}]}),
    Example("POST", "/logic/rules/test", {}, {"rule": _DOSING, "hours": 1}),
    Example("POST", "/logic/rules", {}, _DOSING),
    Example("PUT", "/logic/rules/{rule_id}", {"rule_id": "1"}, {**_DOSING, "enabled": False}),
    Example("POST", "/webhooks", {}, {
        "name": "alarm panel", "url": "https://panel.example/hook", "filters": [{"types": ["safety", "device"]}]}),
    Example("PATCH", "/webhooks/{webhook_id}", {"webhook_id": "1"}, {"enabled": False}),
    Example("POST", "/system/jobs/{job}/run", {"job": "retention"}, {"dry_run": True}),
    Example("POST", "/actuators/emergency_stop", {}, {"reason": "water on the floor", "esp_id": TANK}),
    Example("POST", "/actuators/clear_emergency", {}, {"reason": "wiped up", "esp_id": TANK}),
    Example("POST", "/actuators/resume", {}, {"esp_id": TANK}),
    Example("POST", "/esp/devices/{device_id}/subzones/{subzone_id}/safe-mode",
            {"device_id": TANK, "subzone_id": "north"}, {"enable": True, "reason": "repair"}),
    Example("POST", "/system/actors/restart", {}, {"path": f"/control/devices/{DEVICE}"}),
    Example("POST", "/system/actors/crash", {}, {"path": f"/control/devices/{DEVICE}"}),
    Example("POST", "/esp/devices/{device_id}/reject", {"device_id": DEVICE}, {"reason": "not ours"}),
    Example("POST", "/auth/password", {}, {"old_password": "seven long plums", "new_password": "eight long pears"}),
    Example("POST", "/auth/signing-keys/rotate", {}, {"overlap_seconds": 604800}),
)  # fmt: skip
