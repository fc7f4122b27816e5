"""Errors about commands to actuators, and the emergency stop."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError, ServiceUnavailable


class UnknownVerb(GatewayError):
    code, status = "UNKNOWN_COMMAND", 400
    template = "'{command}' is not an actuator command. Use ON, OFF, PWM or TOGGLE."


class UnknownActuatorType(GatewayError):
    code, status = "UNKNOWN_ACTUATOR_TYPE", 400
    template = "'{actuator_type}' is not an actuator type. Use pump, relay, pwm or valve."


class UnknownActuator(GatewayError):
    code, status = "ACTUATOR_NOT_FOUND", 404
    template = (
        "Device {esp_id} has no actuator on GPIO {gpio}."
        " Configure it with POST /api/v1/actuators/{esp_id}/{gpio}."
    )


class EmergencyStopActive(GatewayError):
    code, status = "EMERGENCY_STOP_ACTIVE", 409
    template = (
        "{scope} has been stopped since {since} ({reason}). Nothing is energised until an operator has cleared the stop and"
        " the state is normal."
    )


class StopInputPressed(GatewayError):
    code, status = "STOP_INPUT_PRESSED", 409
    template = "{reason}. Release or repair it, then clear the stop."


class CommandRefused(GatewayError):
    code, status = "COMMAND_REFUSED", 409
    template = "{reason}"


class AutomationHeld(GatewayError):
    code, status = "AUTOMATION_HELD", 409
    template = "{reason}"


class NoEmergencyStop(GatewayError):
    code, status = "NO_EMERGENCY_STOP", 409
    template = "{scope} is not stopped, so there is nothing to clear."


class ClearLockedOut(GatewayError):
    code, status = "CLEAR_LOCKED_OUT", 409
    template = (
        "The stop is {age_s:.1f} s old; devices accept a clear after {lockout_s} s. Try again then."
    )


class CommandTooOld(ServiceUnavailable):
    code = "COMMAND_TOO_OLD"
    template = (
        "The command is {age_s:.1f} s old, more than its limit of {max_age_s:g} s (max_age_s). Send it again if it"
        " is still wanted."
    )


class OutcomeUnknown(ServiceUnavailable):
    code = "OUTCOME_UNKNOWN"
    retry_after_s = None
    template = (
        "{path} has begun the request but did not report the result. It may"
        " be done: check before you send it again."
    )
