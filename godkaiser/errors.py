"""Every error that a person can meet: one class each, with a stable code and an HTTP status.

The class says what went wrong, the message where, and the template's last sentence what to do.
Errors are raised where the cause is known; the HTTP layer only translates them.
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar


class GatewayError(Exception):
    """Base of all errors that are meant for a person.

    Keyword arguments fill the class's ``template`` and become ``details``.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    template: ClassVar[str] = "{message}"
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, message: str | None = None, /, **details: Any) -> None:
        self.details: dict[str, Any] = details
        self.message: str = message if message is not None else self.template.format(**details)
        super().__init__(self.message)


# 400: the request itself is wrong


class MalformedBody(GatewayError):
    code, status = "MALFORMED_BODY", 400
    template = "The request body is not valid JSON: {reason}. Send one JSON object in UTF-8."


class ValidationFailed(GatewayError):
    code, status = "VALIDATION_ERROR", 400
    template = "{reason}"


class InvalidMockId(GatewayError):
    code, status = "INVALID_MOCK_ID", 400
    template = "'{mock_id}' is no id of a mock: use MOCK_ and up to 26 of A-Z and 0-9."


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
    template = "'{zone_id}' is not a zone id. Use a to z, 0 to 9, '_' and '-', at most 32."


class ValueOutOfRange(GatewayError):
    code, status = "VALUE_OUT_OF_RANGE", 400
    template = "{reason}"


class UnknownVerb(GatewayError):
    code, status = "UNKNOWN_COMMAND", 400
    template = "'{command}' is not an actuator command. Use ON, OFF, PWM or TOGGLE."


class UnknownActuatorType(GatewayError):
    code, status = "UNKNOWN_ACTUATOR_TYPE", 400
    template = "'{actuator_type}' is not an actuator type. Use pump, relay, pwm or valve."


class InvalidRule(GatewayError):
    code, status = "INVALID_RULE", 400
    template = "{path}: {reason}"


class ImplausibleCalibration(GatewayError):
    code, status = "IMPLAUSIBLE_CALIBRATION", 400
    template = "{reason}"


class NoFreshReading(GatewayError):
    code, status = "NO_FRESH_READING", 409
    template = (
        "The sensor has told no raw value within the last {age_s:g} s. Wait for its next reading,"
        " ask for one with POST /api/v1/sensors/{esp_id}/{gpio}/measure, or send raw."
    )


class InvalidTimeRange(GatewayError):
    code, status = "INVALID_TIME_RANGE", 400
    template = "{reason}"


class WeakPassword(GatewayError):
    code, status = "WEAK_PASSWORD", 400
    template = "The password is refused: {reason}"


# 401, 403: who are you, and may you


class NotConfirmed(GatewayError):
    code, status = "NOT_CONFIRMED", 400
    template = '{what} cannot be undone from here. To go on, send "confirm": "{device_id}".'


class NotAuthenticated(GatewayError):
    code, status = "NOT_AUTHENTICATED", 401
    template = "No access token was sent. Log in at /api/v1/auth/login and send it as a Bearer."


class InvalidCredentials(GatewayError):
    code, status = "INVALID_CREDENTIALS", 401
    template = "The user name or the password is wrong."


class InvalidToken(GatewayError):
    code, status = "INVALID_TOKEN", 401
    template = "The token is refused: {reason}. Log in again."


class ForgedToken(InvalidToken):
    """Nobody comes by one by accident."""


class InvalidApiKey(GatewayError):
    code, status = "INVALID_API_KEY", 401
    template = (
        "The API key is refused: {reason}. An administrator makes one with POST /api/v1/auth/keys."
    )


class UnknownSecret(InvalidApiKey):
    """Likewise: a key that there never was, or no more."""


class PermissionDenied(GatewayError):
    code, status = "PERMISSION_DENIED", 403
    template = "This needs the role {needed}; you are {role}. Ask an administrator."


class DebugIsOff(GatewayError):
    code, status = "DEBUG_OFF", 403
    template = "This is for debugging, and off here. Set [debug] endpoints = true and start the gateway again."


class SetupNeedsToken(GatewayError):
    code, status = "SETUP_NEEDS_TOKEN", 403
    template = (
        "The first administrator is made on the gateway itself or with its set-up token, and {reason}."
        ' Send "setup_token" as the gateway printed it at its last start (journalctl -u godkaiser).'
    )


class SetupClosed(GatewayError):
    code, status = "SETUP_CLOSED", 403
    template = "The first administrator exists already. Log in, or ask that person for an account."


# 404: it is not there


class NotFound(GatewayError):
    code, status = "NOT_FOUND", 404
    template = "There is nothing at {path}. The endpoints are listed in docs/api.md."


class UnknownDevice(GatewayError):
    code, status = "ESP_NOT_FOUND", 404
    template = "Device {device_id} is not registered. GET /api/v1/esp/devices lists those that are."


class UnknownMock(GatewayError):
    code, status = "MOCK_NOT_FOUND", 404
    template = "There is no mock {mock_id}. GET /api/v1/debug/mock-esp lists them."


class UnknownSensor(GatewayError):
    code, status = "SENSOR_NOT_FOUND", 404
    template = "Device {esp_id} has no sensor {sensor_type} on GPIO {gpio}."


class UnknownCalibration(GatewayError):
    code, status = "CALIBRATION_NOT_FOUND", 404
    template = (
        "This sensor has no calibration session {session_id}."
        " GET .../calibration of the sensor lists them."
    )


class NoRecalculation(GatewayError):
    code, status = "NO_RECALCULATION", 404
    template = "The past of this sensor is not being recalculated."


class UnknownActuator(GatewayError):
    code, status = "ACTUATOR_NOT_FOUND", 404
    template = (
        "Device {esp_id} has no actuator on GPIO {gpio}."
        " Configure it with POST /api/v1/actuators/{esp_id}/{gpio}."
    )


class UnknownSubzone(GatewayError):
    code, status = "SUBZONE_NOT_FOUND", 404
    template = "Device {device_id} has no subzone '{subzone_id}'."


class UnknownUser(GatewayError):
    code, status = "USER_NOT_FOUND", 404
    template = "There is no user {username}. GET /api/v1/users lists them."


class UnknownBrokerAccount(GatewayError):
    code, status = "BROKER_ACCOUNT_UNKNOWN", 404
    template = "{device_id} has no account with the broker. Make one with POST on the same path."


class UnknownWebhook(GatewayError):
    code, status = "WEBHOOK_NOT_FOUND", 404
    template = "There is no webhook {webhook_id}. GET /api/v1/webhooks lists them."


class UnknownApiKey(GatewayError):
    code, status = "API_KEY_NOT_FOUND", 404
    template = "There is no valid API key {key_id}. GET /api/v1/auth/keys lists them."


class KeyInUse(GatewayError):
    code, status = "IDEMPOTENCY_KEY_IN_USE", 409
    template = (
        "The first request with this Idempotency-Key is still under way. Ask again in a moment."
    )


class KeyInDoubt(GatewayError):
    code, status = "IDEMPOTENCY_KEY_IN_DOUBT", 409
    template = (
        "The gateway ended, or found no time to answer, while the first request with this Idempotency-Key was under"
        " way: it may have been given. Look at the actuator, and command it with a new key if it is to be."
    )


class UserExists(GatewayError):
    code, status = "USER_EXISTS", 409
    template = "There is a user {username} already. Choose another name, or change that one."


class NameLooksAlike(GatewayError):
    code, status = "USER_NAME_LOOKS_ALIKE", 409
    template = "{username} looks like {other}, who exists already. Choose a name that nobody takes for another."


class LastAdministrator(GatewayError):
    code, status = "LAST_ADMINISTRATOR", 409
    template = "{username} is the last administrator. Make another one first."


class OutOfArea(GatewayError):
    code, status = "OUT_OF_AREA", 403
    template = "This API key may use {areas} only; this is {area}."


class UnknownRule(GatewayError):
    code, status = "RULE_NOT_FOUND", 404
    template = "There is no rule {rule_id}. GET /api/v1/logic/rules lists them."


class UnknownActor(GatewayError):
    code, status = "ACTOR_NOT_FOUND", 404
    template = "There is no actor at {path}. GET /api/v1/system/tree lists them."


class UnknownJob(GatewayError):
    code, status = "JOB_NOT_FOUND", 404
    template = "There is no job {job}. GET /api/v1/system/jobs lists them."


class UnknownDeadLetter(GatewayError):
    code, status = "DEAD_LETTER_NOT_FOUND", 404
    template = "There is no dead letter {letter_id}; the oldest ones are dropped first."


class MethodNotAllowed(GatewayError):
    code, status = "METHOD_NOT_ALLOWED", 405
    template = "{method} is not possible at {path}; what is: {allow}."


# 409: it conflicts with the state of the system


class DuplicateDevice(GatewayError):
    code, status = "DUPLICATE_ESP", 409
    template = "Device {device_id} is registered already. Approve it, or change it in place."


class DuplicateMock(GatewayError):
    code, status = "DUPLICATE_MOCK", 409
    template = "There is a mock {mock_id} already. Delete it first, or choose another id."


class TooManyMocks(GatewayError):
    code, status = "TOO_MANY_MOCKS", 409
    template = "There are {most} mocks, as many as one gateway keeps. Delete one first."


class GpioConflict(GatewayError):
    code, status = "GPIO_CONFLICT", 409
    template = "GPIO {gpio} of {esp_id} is used by {user}. Remove that first, or choose another."


class EmergencyStopActive(GatewayError):
    code, status = "EMERGENCY_STOP_ACTIVE", 409
    template = (
        "{scope} is stopped since {since} ({reason}). Nothing is energised until an operator has"
        " cleared the stop and operation has resumed."
    )


class DeviceBusy(GatewayError):
    code, status = "DEVICE_BUSY", 409
    template = "{reason}. Wait for it, or for its time-out of 15 s."


class NoBrokerAccounts(GatewayError):
    code, status = "BROKER_ACCOUNTS_OFF", 409
    template = "This gateway makes no accounts for the broker. Set [broker_accounts] folder in its configuration."


class SigningKeyGiven(GatewayError):
    code, status = "SIGNING_KEY_GIVEN", 409
    template = (
        "The signing key comes from JWT_SECRET_KEY. To rotate it, put the old one into"
        " JWT_SECRET_KEY_PREVIOUS and a new one into JWT_SECRET_KEY, and start the gateway again."
    )


class TooManyWebhooks(GatewayError):
    code, status = "TOO_MANY_WEBHOOKS", 409
    template = "There are {most} webhooks already, as many as may be. Delete one."


class LiveIsOff(GatewayError):
    code, status = "LIVE_OFF", 409
    template = 'Webhooks hear what the live socket tells, and that is off: set [live] listen to another than "off".'


class StillInUse(GatewayError):
    code, status = "STILL_IN_USE", 409
    template = "{what} is used by {user}. Change that first."


class StopInputPressed(GatewayError):
    code, status = "STOP_INPUT_PRESSED", 409
    template = "{reason}. Release it (or mend it), then clear the stop."


class DeclaredInFile(GatewayError):
    code, status = "DECLARED_IN_FILE", 409
    template = "{what} is declared in {where}. Change it there and restart the gateway."


class ChangedMeanwhile(GatewayError):
    code, status = "CHANGED_MEANWHILE", 412
    template = "{what} was changed by somebody else meanwhile. Read it again, and change what is there now."


class WeakETag(GatewayError):
    code, status = "WEAK_ETAG", 412
    template = (
        "If-Match compares strongly, and this ETag is weak: a proxy that compresses has made it so. Read the"
        " resource again with 'Accept-Encoding: identity', or let the proxy leave it as it is."
    )


class CommandRefused(GatewayError):
    code, status = "COMMAND_REFUSED", 409
    template = "{reason}"


class AutomationHeld(GatewayError):
    code, status = "AUTOMATION_HELD", 409
    template = "{reason}"


class DeviceNotApproved(GatewayError):
    code, status = "DEVICE_NOT_APPROVED", 409
    template = "Device {esp_id} is {approval}. Approve it at /api/v1/esp/devices/{esp_id}/approve."


class DeviceOffline(GatewayError):
    code, status = "DEVICE_OFFLINE", 409
    template = "Device {esp_id} is not online, so its state is in doubt: only OFF is accepted."


class NoEmergencyStop(GatewayError):
    code, status = "NO_EMERGENCY_STOP", 409
    template = "{scope} is not stopped, so there is nothing to clear."


class ClearLockedOut(GatewayError):
    code, status = "CLEAR_LOCKED_OUT", 409
    template = "The stop is {age_s:.1f} s old; devices accept a clear after {lockout_s} s. Wait."


class InvalidTransition(GatewayError):
    code, status = "INVALID_TRANSITION", 409
    template = "{reason}"


# 413, 415, 422, 429


class BodyTooLarge(GatewayError):
    code, status = "BODY_TOO_LARGE", 413
    template = "The request body is larger than {limit_bytes} bytes."


class UnsupportedMediaType(GatewayError):
    code, status = "UNSUPPORTED_MEDIA_TYPE", 415
    template = "Send the body as application/json, not {content_type}."


class KeyReused(GatewayError):
    code, status = "IDEMPOTENCY_KEY_REUSED", 422
    template = "This Idempotency-Key belongs to another request. Use a new one for a new command."


class UnusableReading(GatewayError):
    code, status = "UNUSABLE_READING", 422
    template = "{reason}"


class TooManyRequests(GatewayError):
    code, status = "RATE_LIMITED", 429
    template = "Too many requests. Try again in {retry_after_s} s."


# 500, 503: the system


class InternalError(GatewayError):
    code, status = "INTERNAL_ERROR", 500
    template = "The gateway failed on this request; the log has it under {request_id}."


class ServiceUnavailable(GatewayError):
    code, status = "SERVICE_UNAVAILABLE", 503
    retry_after_s: ClassVar[int | None] = 5
    template = "{reason}"


class GatewayStalled(ServiceUnavailable):
    code = "GATEWAY_STALLED"
    retry_after_s = 2
    template = (
        "The gateway stood still for more than {stall_s:g} s while this request waited: it may be older than its"
        " sender thinks. Look at how things are, and send it again if it is still wanted."
    )


class CommandTooOld(ServiceUnavailable):
    code = "COMMAND_TOO_OLD"
    template = (
        "The command is {age_s:.1f} s old, and void after its max_age_s of {max_age_s:g} s. Send it again if it"
        " is still wanted."
    )


class DatabaseUnavailable(ServiceUnavailable):
    code = "DATABASE_UNAVAILABLE"
    template = "The database does not answer: {reason}. Control goes on; try again."


class AccountFilesUnusable(ServiceUnavailable):
    code = "BROKER_ACCOUNTS_NOT_WRITTEN"
    template = "{reason}"


class SpoolUnavailable(ServiceUnavailable):
    code = "SPOOL_UNAVAILABLE"
    template = "The spool cannot keep it: {reason}; readings wait with the broker until then."


class BrokerUnavailable(ServiceUnavailable):
    code = "BROKER_UNAVAILABLE"
    template = "The MQTT broker at {address} is not connected: {reason}."


class OutcomeUnknown(ServiceUnavailable):
    code = "OUTCOME_UNKNOWN"
    retry_after_s = None
    template = (
        "{path} has begun with it and did not say how it ended. It may be done: look before you send it"
        " again."
    )


class DatabaseInDoubt(DatabaseUnavailable):
    """The answer to a COMMIT is lost."""

    code = "DATABASE_IN_DOUBT"
    retry_after_s = None
    template = "The database did not say whether it has stored this: {reason}. Look before you send it again."


class GatewayOverloaded(ServiceUnavailable):
    code = "OVERLOADED"
    template = "{path} did not answer within {timeout_s} s or its mailbox is full. Try again."


class StartupFailed(GatewayError):
    """The gateway cannot start; the message tells the admin what to change."""

    code = "STARTUP_FAILED"
    template = "{reason}"


class ReloadRefused(GatewayError):
    """The changed files cannot be taken; `problems` has a line for each mistake."""

    code, status = "RELOAD_REFUSED", 409
    template = "{reason}"


class BackupRefused(GatewayError):
    """Of a backup, a restore or a move of data, at the command line."""

    code = "BACKUP_REFUSED"
    template = "{reason}"


class SealRefused(GatewayError):
    """Of a sealed file, its keys and passphrases, at the command line."""

    code = "SEAL_REFUSED"
    template = "{reason}"


class PassingCondition(StartupFailed):
    """The gateway cannot start now, but the cause may pass by itself, so that a later try helps."""


class DatabaseAway(PassingCondition):
    """The database cannot be used now: its server is starting, or a tool has locked it."""


_LASTING = frozenset({
    errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOTDIR,
})  # fmt: skip
"""These need an admin. Everything else passes: a disk that is not mounted yet or full, an address that
is not there yet, a port in use.
"""


def startup_failure(reason: str, error: OSError) -> StartupFailed:
    """The failure of a start for a system error, by whether its cause may pass."""
    kind = StartupFailed if error.errno in _LASTING else PassingCondition
    return kind(reason=reason)
