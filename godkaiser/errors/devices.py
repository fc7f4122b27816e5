"""Errors about devices, mocks, pins and zones."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError


class InvalidMockId(GatewayError):
    code, status = "INVALID_MOCK_ID", 400
    template = (
        "'{mock_id}' is not a valid mock id: use MOCK_ and up to 26 characters of A-Z and 0-9."
    )


class InvalidDeviceId(GatewayError):
    code, status = "INVALID_DEVICE_ID", 400
    template = (
        "'{device_id}' is not a device id. Real devices are ESP_ and 6 to 8 upper-case hex digits"
        " (ESP_4F3A9C); mock devices are MOCK_ and upper-case letters or digits."
    )


class InvalidGpio(GatewayError):
    code, status = "INVALID_GPIO", 400
    template = "GPIO {gpio}: {reason}"


class InvalidZone(GatewayError):
    code, status = "INVALID_ZONE", 400
    template = (
        "'{zone_id}' is not a zone id. Use a to z, 0 to 9, '_' and '-', at most 32 characters."
    )


class UnknownDevice(GatewayError):
    code, status = "ESP_NOT_FOUND", 404
    template = "Device {device_id} is not registered. GET /api/v1/esp/devices lists those that are."


class UnknownMock(GatewayError):
    code, status = "MOCK_NOT_FOUND", 404
    template = "There is no mock {mock_id}. GET /api/v1/debug/mock-esp lists them."


class UnknownSubzone(GatewayError):
    code, status = "SUBZONE_NOT_FOUND", 404
    template = "Device {device_id} has no subzone '{subzone_id}'. GET /api/v1/esp/devices/{device_id} lists them."


class DuplicateDevice(GatewayError):
    code, status = "DUPLICATE_ESP", 409
    template = "Device {device_id} is already registered. Approve it, or change it."


class DuplicateMock(GatewayError):
    code, status = "DUPLICATE_MOCK", 409
    template = "The mock {mock_id} exists already. Delete it first, or choose another id."


class TooManyMocks(GatewayError):
    code, status = "TOO_MANY_MOCKS", 409
    template = "There are already {most} mocks, the maximum of one gateway. Delete one first."


class GpioConflict(GatewayError):
    code, status = "GPIO_CONFLICT", 409
    template = (
        "GPIO {gpio} of {esp_id} is used by {user}. Remove that first, or choose another pin."
    )


class DeviceBusy(GatewayError):
    code, status = "DEVICE_BUSY", 409
    template = "{reason}. Wait until it has answered, or for the timeout of 15 s."


class StillInUse(GatewayError):
    code, status = "STILL_IN_USE", 409
    template = "{what} is used by {user}. Change that first."


class DeclaredInFile(GatewayError):
    code, status = "DECLARED_IN_FILE", 409
    template = "{what} is declared in {where}. Change it there and reload the gateway."


class DeviceNotApproved(GatewayError):
    code, status = "DEVICE_NOT_APPROVED", 409
    template = "Device {esp_id} is {approval}. Approve it at /api/v1/esp/devices/{esp_id}/approve."


class DeviceOffline(GatewayError):
    code, status = "DEVICE_OFFLINE", 409
    template = "Device {esp_id} is offline, so its state is unknown: only OFF is accepted."
