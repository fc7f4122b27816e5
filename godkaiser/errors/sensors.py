"""Errors about sensors, readings and calibration."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError


class ValueOutOfRange(GatewayError):
    code, status = "VALUE_OUT_OF_RANGE", 400
    template = "{reason}"


class ImplausibleCalibration(GatewayError):
    code, status = "IMPLAUSIBLE_CALIBRATION", 400
    template = "{reason}"


class NoFreshReading(GatewayError):
    code, status = "NO_FRESH_READING", 409
    template = (
        "The sensor has sent no raw value within the last {age_s:g} s. Wait for its next reading,"
        " ask for one with POST /api/v1/sensors/{esp_id}/{gpio}/measure, or send raw."
    )


class UnknownSensor(GatewayError):
    code, status = "SENSOR_NOT_FOUND", 404
    template = "Device {esp_id} has no sensor {sensor_type} on GPIO {gpio}. GET /api/v1/sensors lists all sensors."


class UnknownCalibration(GatewayError):
    code, status = "CALIBRATION_NOT_FOUND", 404
    template = (
        "This sensor has no calibration session {session_id}."
        " GET .../calibration of the sensor lists them."
    )


class NoRecalculation(GatewayError):
    code, status = "NO_RECALCULATION", 404
    template = "No recalculation was started for this sensor. Start one with POST on the same path."
