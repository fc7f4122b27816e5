"""The base of all errors for people, and errors without a subject of their own."""

from __future__ import annotations

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


class ValidationFailed(GatewayError):
    code, status = "VALIDATION_ERROR", 400
    template = "{reason}"


class NotFound(GatewayError):
    code, status = "NOT_FOUND", 404
    template = "There is no endpoint {path}. docs/api.md lists all endpoints."


class ChangedMeanwhile(GatewayError):
    code, status = "CHANGED_MEANWHILE", 412
    template = (
        "{what} was changed by somebody else meanwhile. Read it again and repeat your change."
    )


class InvalidTransition(GatewayError):
    code, status = "INVALID_TRANSITION", 409
    template = "{reason}"


class TooManyRequests(GatewayError):
    code, status = "RATE_LIMITED", 429
    template = "Too many requests. Try again in {retry_after_s} s."


class InternalError(GatewayError):
    code, status = "INTERNAL_ERROR", 500
    template = "The gateway failed on this request. Look in the log for {request_id}."


class ServiceUnavailable(GatewayError):
    code, status = "SERVICE_UNAVAILABLE", 503
    retry_after_s: ClassVar[int | None] = 5
    template = "{reason}"


class GatewayOverloaded(ServiceUnavailable):
    code = "OVERLOADED"
    template = "{path} did not answer within {timeout_s} s or its mailbox is full. Try again."
