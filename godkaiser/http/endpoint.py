"""`Endpoint`: one record for each endpoint of the API, beside the resource that serves it.

Routes, permissions, query checks, the OpenAPI document, the table of docs/api.md and `godkaiser api` are made
of these records (`endpoints.py` collects them), so nothing about an endpoint is written twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from godkaiser.errors.base import GatewayError
from godkaiser.http.access.permissions import AREAS, Role
from godkaiser.http.queries import Parameter

VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN
JSON = "application/json"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
NO_CONTENT = 204

Row = TypeVar("Row")


class Example(NamedTuple):
    """A body, and the parts of the path that it goes with; the tests run it."""

    body: dict[str, Any]
    path: dict[str, str] = {}  # noqa: RUF012 -- never changed


class Entries(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """All entries of a list, and their number."""

    data: list[Row]
    count: int


class Page(msgspec.Struct, Generic[Row], frozen=True, kw_only=True):
    """Entries of a list, and their number. `next` is the cursor of the page behind it, null at the end."""

    data: list[Row]
    count: int
    next: str | None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is done, or accepted to be done."""

    success: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What holds for an endpoint beside its role."""

    for_people: bool = False
    """Not for API keys: somebody who has stolen one leaves nothing behind that outlives it, and crashes nothing."""
    for_debugging: bool = False
    """Off unless `[debug] endpoints` opens it."""
    never_late: bool = False
    """It may let something be energised: refused when it waited during a stall of the gateway. Commands to
    actuators are checked one by one, because OFF is never too late.
    """
    is_unlimited: bool = False
    """Not counted by the rate limit."""
    takes_stop_token: bool = False
    """The stop token of the page opens it, too."""
    changes_nothing: bool = False
    """Leaves no entry in the audit trail although its method is not GET."""


@dataclass(frozen=True, slots=True)
class Endpoint(_Rules):
    """`path` is a template under /api/v1; `responder` is the suffix of the resource's method that serves it.

    `role` None: no token needed. `says` is one sentence, `details` what else there is to know. `answer` is a
    type that msgspec knows, a tuple of such where it is one of several, None where there is no body or one
    that is not JSON (`media`). `refuses` are the
    errors that are its own; those of every endpoint are added by `openapi.py`. `edits`: takes If-Match, and
    `tagged`: answers with an ETag.
    """

    method: str
    path: str
    responder: str
    role: Role | None
    says: str
    answer: Any = None
    status: int = 200
    details: str = ""
    body: Any = None
    query: tuple[Parameter, ...] = ()
    refuses: tuple[type[GatewayError], ...] = ()
    examples: tuple[Example, ...] = ()
    media: tuple[str, ...] = (JSON,)
    edits: bool = False
    tagged: bool = False
    once: bool = False
    """Takes an Idempotency-Key."""
    event: str = ""
    """The live socket tells events of this type to those who may use this endpoint."""

    def __post_init__(self) -> None:
        assert self.path.startswith("/"), self.path
        assert self.area in AREAS, self.path
        assert self.says.endswith("."), self.says

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.path

    @property
    def area(self) -> str:
        """The first word of the path: what the scope of an API key names."""
        return self.path.split("/")[1]

    @property
    def is_audited(self) -> bool:
        return self.method not in READING and not self.changes_nothing
