"""Between HTTP and the actors: bodies in and out, messages to actors, errors to people."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

import falcon
import msgspec

from godkaiser import paths
from godkaiser.actors.devices.messages import DeviceView
from godkaiser.domain.addresses import unmapped
from godkaiser.domain.entities import Issuer
from godkaiser.errors.access import InvalidToken
from godkaiser.errors.base import (
    GatewayError,
    GatewayOverloaded,
    ServiceUnavailable,
    ValidationFailed,
)
from godkaiser.errors.devices import InvalidGpio, UnknownDevice
from godkaiser.errors.requests import (
    BodyTooLarge,
    MalformedBody,
    MethodNotAllowed,
    UnsupportedMediaType,
)
from godkaiser.errors.safety import OutcomeUnknown
from godkaiser.http.access.identity import Identity
from godkaiser.http.json_guard import check_json
from godkaiser.http.problem import PROBLEM_JSON, problem
from godkaiser.protocol.text import fit_json
from godkaiser.supervision import (
    ActorCrashed,
    ActorStopped,
    ActorSystem,
    ActorWaiting,
    AskInDoubt,
    AskTimeout,
    MailboxFull,
    UnknownPath,
)

MAX_BODY_BYTES = 1024 * 1024
ASK_TIMEOUT_S = 5.0
MAX_GPIO = 39
MOST_DIGITS = 15


class AuditNote(msgspec.Struct, frozen=True):
    """See `note_audit`."""

    what: str
    details: str
    who: str
    correlation_id: str


Body = TypeVar("Body")
encode = msgspec.json.Encoder().encode

END_OF_TIME = 253_402_300_800.0  # the year 10000


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of request bodies: a field that is not known is an error, with its name."""


MEANINGS: dict[str, str] = {}
"""What the patterns of bodies mean, in words; each stands beside its pattern."""


def worded(pattern: str, words: str) -> str:
    """The pattern; a body that does not match it is refused in these words."""
    MEANINGS[pattern] = words
    return pattern


_UTF_8 = frozenset({"utf-8", "utf8"})


def read_body(req: falcon.Request, kind: type[Body], *, make_fit: bool = False) -> Body:
    """The body as `kind`.

    With `make_fit`, characters that nobody sees are replaced instead of refused: for what must not be
    refused for a word.

    Raises:
        UnsupportedMediaType, BodyTooLarge, MalformedBody, ValidationFailed.
    """
    content_type = req.content_type or "application/json"
    kind_of_text, options = falcon.parse_header(content_type.lower())
    if kind_of_text != "application/json" or options.get("charset", "utf-8") not in _UTF_8:
        raise UnsupportedMediaType(content_type=ascii(content_type[:80])[1:-1])
    if (req.content_length or 0) > MAX_BODY_BYTES:
        raise BodyTooLarge(limit_bytes=MAX_BODY_BYTES)
    data = req.bounded_stream.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise BodyTooLarge(limit_bytes=MAX_BODY_BYTES)
    if make_fit:
        data = fit_json(data)
    check_json(data, is_fit=make_fit)
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except msgspec.ValidationError as error:
        reason = f"The request body is not valid: {_in_words(str(error))}."
        raise ValidationFailed(reason=reason) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBody(reason=str(error)[:200]) from error


def _in_words(text: str) -> str:
    """The message of msgspec, which shows a pattern as it is; what it means stands with the pattern."""
    for pattern, words in MEANINGS.items():
        text = text.replace(f"matching regex {pattern!r}", words)
    return text


def reply(resp: falcon.Response, body: Any, status: int = 200) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.data = encode(body)


def reply_error(req: falcon.Request, resp: falcon.Response, error: GatewayError) -> None:
    """The one envelope of all errors."""
    if error.retry_after_s is not None:
        resp.set_header("Retry-After", str(error.retry_after_s))
    if "retry_after_s" in error.details:
        resp.set_header("Retry-After", str(error.details["retry_after_s"]))
    req.context["error"] = error
    if isinstance(error, MethodNotAllowed):
        resp.set_header("Allow", str(error.details["allow"]))
    if error.status == HTTPStatus.UNAUTHORIZED:
        refused = ', error="invalid_token"' if isinstance(error, InvalidToken) else ""
        resp.set_header("WWW-Authenticate", f'Bearer realm="godkaiser"{refused}')
    path = req.path.encode("ascii", "backslashreplace").decode()[:200]
    body = problem(
        error.code,
        error.status,
        error.message,
        error.details,
        request_id=request_id_of(req),
        path=path,
    )
    reply(resp, body, error.status)
    if PROBLEM_JSON in (req.get_header("Accept") or ""):
        resp.content_type = PROBLEM_JSON


def ask(
    system: ActorSystem,
    path: str,
    message: Any,
    *,
    timeout_s: float = ASK_TIMEOUT_S,
    urgent: bool = False,
) -> Any:
    """Ask an actor; what keeps it from answering is a 503.

    Raises:
        GatewayOverloaded, ServiceUnavailable, OutcomeUnknown, and whatever the actor refuses with.
    """
    try:
        # After a 503 nothing may happen any more; but a stop is better given late than never.
        return system.handle(path).ask(
            message, timeout_s=timeout_s, urgent=urgent, or_not_at_all=not urgent
        )
    except AskInDoubt as error:
        raise OutcomeUnknown(path=path) from error
    except (AskTimeout, MailboxFull) as error:
        raise GatewayOverloaded(path=path, timeout_s=timeout_s) from error
    except ActorWaiting as error:
        raise ServiceUnavailable(reason=f"{error}. Try again.") from error
    except (ActorCrashed, ActorStopped, UnknownPath) as error:
        reason = f"{path} failed on the request and is being restarted. Try again."
        raise ServiceUnavailable(reason=reason) from error


def identity_of(req: falcon.Request) -> Identity:
    identity = req.context["identity"]
    assert isinstance(identity, Identity)
    return identity


def request_id_of(req: falcon.Request) -> str:
    return str(req.context.get("request_id") or "")


def issuer_of(req: falcon.Request) -> Issuer:
    identity = identity_of(req)
    return Issuer(
        identity.kind,
        identity.username,
        source=address_of(req),
        correlation_id=request_id_of(req),
    )


def address_of(req: falcon.Request) -> str:
    """Where the request came from; an IPv4 address as such, also on a socket that listens on `[::]`."""
    return unmapped(req.remote_addr)


def note_audit(
    req: falcon.Request, what: str, details: str = "", *, who: str = "", correlation_id: str = ""
) -> None:
    """What the entry of this call in the audit trail tells, instead of its method and path.

    `who` where nobody is logged in yet; `correlation_id` of a command instead of the request's.
    """
    req.context["audit"] = AuditNote(what, details, who, correlation_id)


def device_view(system: ActorSystem, device_id: str) -> DeviceView:
    """Raises UnknownDevice."""
    view = system.published_value(paths.device(device_id), "view")
    if not isinstance(view, DeviceView):
        raise UnknownDevice(device_id=device_id[:64])
    return view


def number_in_path(name: str, text: str, unknown: type[GatewayError]) -> int:
    """The number in a path that names one of our rows. Raises `unknown` when it cannot be one."""
    if not (text.isascii() and text.isdecimal()) or len(text) > MOST_DIGITS:
        raise unknown(**{name: text[:40]})
    return int(text)


def check_gpio(value: str | int) -> int:
    """Raises InvalidGpio."""
    text = str(value)
    if not text.isascii() or not text.isdecimal() or len(text) > 2 or int(text) > MAX_GPIO:  # noqa: PLR2004
        raise InvalidGpio(gpio=text[:20], reason="GPIOs are numbered from 0 to 39.")
    return int(text)


def is_dry_run(req: falcon.Request) -> bool:
    """`?dry_run=1`: say what it would do, and do nothing."""
    return req.get_param_as_bool("dry_run", default=False) or False


def query_float(req: falcon.Request, name: str) -> float | None:
    """A time in unix seconds or ISO 8601. Raises ValidationFailed."""
    text = req.get_param(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        try:
            # A plus sign in a query string arrives as a blank.
            moment = datetime.fromisoformat(text.replace(" ", "+"))
            value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except ValueError as error:
            reason = f"Query parameter {name} '{text[:40]}': use unix seconds or ISO 8601."
            raise ValidationFailed(reason=reason) from error
    if not abs(value) < END_OF_TIME:
        reason = f"Query parameter {name} '{text[:40]}' is no time in unix seconds."
        raise ValidationFailed(reason=reason)
    return value


def query_seconds(req: falcon.Request, name: str, most: float) -> float:
    """Raises ValidationFailed."""
    text = req.get_param(name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        reason = f"Query parameter {name} '{text[:40]}': use 0 to {most:g} seconds."
        raise ValidationFailed(reason=reason)
    return value


def query_int(
    req: falcon.Request, name: str, default: int | None, low: int, high: int
) -> int | None:
    """Raises ValidationFailed."""
    text = req.get_param(name)
    if text is None:
        return default
    if (
        not text.isascii()
        or not text.isdecimal()
        or len(text) > len(str(high))
        or not low <= int(text) <= high
    ):
        reason = f"Query parameter {name} '{text[:40]}': use a number from {low} to {high}."
        raise ValidationFailed(reason=reason)
    return int(text)
