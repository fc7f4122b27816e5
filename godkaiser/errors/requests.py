"""A request that is wrong in itself, or comes at the wrong moment."""

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
    template = '{what} cannot be undone from here. To go on, send "confirm": "{device_id}".'


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


class MethodNotAllowed(GatewayError):
    code, status = "METHOD_NOT_ALLOWED", 405
    template = "{method} is not possible at {path}; what is: {allow}."


class WeakETag(GatewayError):
    code, status = "WEAK_ETAG", 412
    template = (
        "If-Match compares strongly, and this ETag is weak: a proxy that compresses has made it so. Read the"
        " resource again with 'Accept-Encoding: identity', or let the proxy leave it as it is."
    )


class BodyTooLarge(GatewayError):
    code, status = "BODY_TOO_LARGE", 413
    template = "The request body is larger than {limit_bytes} bytes."


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
        "The gateway stood still for more than {stall_s:g} s while this request waited: it may be older than its"
        " sender thinks. Look at how things are, and send it again if it is still wanted."
    )
