"""Errors of requests that are malformed or arrive at the wrong moment."""

from __future__ import annotations

from godkaiser.errors.base import GatewayError, ServiceUnavailable


class MalformedBody(GatewayError):
    code, status = "MALFORMED_BODY", 400
    template = "The request body is not valid JSON: {reason}. Send one JSON object in UTF-8."


class InvalidTimeRange(GatewayError):
    code, status = "INVALID_TIME_RANGE", 400
    template = "{reason}"


class NotConfirmed(GatewayError):
    code, status = "NOT_CONFIRMED", 400
    template = '{what} cannot be undone remotely. To confirm, send "confirm": "{device_id}".'


class KeyInUse(GatewayError):
    code, status = "IDEMPOTENCY_KEY_IN_USE", 409
    template = (
        "The first request with this Idempotency-Key is still running. Send it again in a moment."
    )


class KeyInDoubt(GatewayError):
    code, status = "IDEMPOTENCY_KEY_IN_DOUBT", 409
    template = (
        "The gateway ended, or could not answer in time, during the first request with this Idempotency-Key:"
        " the command may have been given. Check the actuator, then send again with a new key if it is still wanted."
    )


class MethodNotAllowed(GatewayError):
    code, status = "METHOD_NOT_ALLOWED", 405
    template = "{method} is not allowed at {path}. Allowed: {allow}."


class WeakETag(GatewayError):
    code, status = "WEAK_ETAG", 412
    template = (
        "If-Match needs a strong ETag, and this one is weak, probably because a proxy compressed the answer. Read"
        " the resource again with 'Accept-Encoding: identity', or configure the proxy not to change ETags."
    )


class BodyTooLarge(GatewayError):
    code, status = "BODY_TOO_LARGE", 413
    template = "The request body is larger than {limit_bytes} bytes. Send a smaller one."


class UnsupportedMediaType(GatewayError):
    code, status = "UNSUPPORTED_MEDIA_TYPE", 415
    template = "Send the body as application/json, not {content_type}."


class KeyReused(GatewayError):
    code, status = "IDEMPOTENCY_KEY_REUSED", 422
    template = "This Idempotency-Key belongs to another request. Use a new one for a new command."


class GatewayStalled(ServiceUnavailable):
    code = "GATEWAY_STALLED"
    retry_after_s = 2
    template = (
        "The gateway has just stalled for more than {stall_s:g} s, and this request may have waited all that time."
        " Check the state, and send it again if it is still wanted."
    )
