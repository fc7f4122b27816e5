"""The person or the API key that a request comes from."""

from __future__ import annotations

from typing import Literal

import msgspec

from godkaiser.http.access.permissions import Role


class Identity(msgspec.Struct, frozen=True):
    """`kind` user (a person with an account), key (an API key) or local (somebody on the gateway who may
    read its key file): a key `bot` and a user of the same name are two.
    """

    kind: Literal["user", "key", "local"]
    username: str
    role: Role
    family: str = ""
    areas: tuple[str, ...] = ()
    """Of an API key: the first words of the paths that it may use; none: all."""

    @property
    def is_key(self) -> bool:
        return self.kind == "key"

    @property
    def principal(self) -> str:
        return f"{self.kind}:{self.username}"
