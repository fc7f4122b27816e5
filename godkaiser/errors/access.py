"""Errors of authentication, permissions and accounts."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError


class WeakPassword(GatewayError):
    code, status = "WEAK_PASSWORD", 400
    template = "The password is refused: {reason}"


class NotAuthenticated(GatewayError):
    code, status = "NOT_AUTHENTICATED", 401
    template = "No access token was sent. Log in at /api/v1/auth/login and send it as a Bearer."


class InvalidCredentials(GatewayError):
    code, status = "INVALID_CREDENTIALS", 401
    template = "The user name or the password is wrong."


class InvalidToken(GatewayError):
    code, status = "INVALID_TOKEN", 401
    template = "The token is refused: {reason}. Log in again."


class CrossSiteRequest(GatewayError):
    code, status = "CROSS_SITE_REQUEST", 403
    template = "The request is refused, because {reason}."


class ForgedToken(InvalidToken):
    """A token with an invalid signature; counts as an attack."""


class InvalidApiKey(GatewayError):
    code, status = "INVALID_API_KEY", 401
    template = "The API key is refused: {reason}. An administrator creates keys with POST /api/v1/auth/keys."


class UnknownSecret(InvalidApiKey):
    """A key that never existed or was deleted; also counts as an attack."""


class PermissionDenied(GatewayError):
    code, status = "PERMISSION_DENIED", 403
    template = "This needs the role {needed}; you are {role}. Ask an administrator."


class DebugIsOff(GatewayError):
    code, status = "DEBUG_OFF", 403
    template = "Debug endpoints are off. Set [debug] endpoints = true and restart the gateway."


class SetupNeedsToken(GatewayError):
    code, status = "SETUP_NEEDS_TOKEN", 403
    template = (
        "The first administrator can be created only on the gateway itself or with its set-up token: {reason}."
        ' Send "setup_token" as the gateway printed it at its last start (journalctl -u godkaiser).'
    )


class SetupClosed(GatewayError):
    code, status = "SETUP_CLOSED", 403
    template = "The first administrator exists already. Log in, or ask that person for an account."


class UnknownUser(GatewayError):
    code, status = "USER_NOT_FOUND", 404
    template = "There is no user {username}. GET /api/v1/users lists them."


class UnknownApiKey(GatewayError):
    code, status = "API_KEY_NOT_FOUND", 404
    template = "There is no valid API key {key_id}. GET /api/v1/auth/keys lists them."


class UserExists(GatewayError):
    code, status = "USER_EXISTS", 409
    template = "The user {username} exists already. Choose another name, or change that user."


class NameLooksAlike(GatewayError):
    code, status = "USER_NAME_LOOKS_ALIKE", 409
    template = "{username} looks like the existing user {other}. Choose a name that cannot be confused with it."


class LastAdministrator(GatewayError):
    code, status = "LAST_ADMINISTRATOR", 409
    template = "{username} is the last administrator. Make another user an administrator first."


class OutOfArea(GatewayError):
    code, status = "OUT_OF_AREA", 403
    template = "This API key may use only {areas}; this request needs {area}. Use another key."


class SigningKeyGiven(GatewayError):
    code, status = "SIGNING_KEY_GIVEN", 409
    template = (
        "The signing key comes from JWT_SECRET_KEY. To rotate it, put the old one into"
        " JWT_SECRET_KEY_PREVIOUS and a new one into JWT_SECRET_KEY, and restart the gateway."
    )
