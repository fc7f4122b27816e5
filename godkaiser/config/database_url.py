"""The URL of a database, taken apart without ever showing its password.

    sqlite:///relative/path    sqlite:////absolute/path
    postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE

A path, a user and a password may be percent-encoded. A password may also stand as it is, with `/`, `#`, `?` and `@`
in it: what is before the last `@` that leaves a host and a name belongs to the user.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import msgspec

HIGHEST_PORT = 65_535
_SQLITE = "sqlite:///"
_PLACE = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\[\]@/?#:]*)(?::(?P<port>[^@/?#]*))?"
    r"/(?P<name>[^/?#]+)(?:\?(?P<options>[^#]*))?"
)


class DatabaseUrl(msgspec.Struct, frozen=True, kw_only=True):
    """`file` is set for SQLite, the others for PostgreSQL; `options` are those of libpq."""

    file: str = ""
    user: str = ""
    password: str = ""
    host: str = ""
    port: int | None = None
    name: str = ""
    options: dict[str, str] = {}

    @property
    def is_sqlite(self) -> bool:
        return bool(self.file)

    @property
    def path(self) -> Path:
        return Path(self.file)

    @property
    def shown(self) -> str:
        """Where it is, without user and password."""
        if self.is_sqlite:
            return f"sqlite:///{self.file}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"postgresql://{host}{port}/{self.name}"


def sqlite_url(path: Path) -> str:
    """The URL of a file, whatever characters its path has."""
    return _SQLITE + quote(str(path))


def parse(url: str) -> DatabaseUrl:
    """Raises ValueError: why it cannot be used, without any secret."""
    scheme, separator, rest = url.partition(":")
    if not separator:
        msg = "a text without a scheme"
        raise ValueError(msg)
    if scheme == "sqlite":
        return _parse_sqlite(url)
    if scheme not in {"postgresql", "postgres"}:
        msg = f'the scheme "{scheme[:20]}"'
        raise ValueError(msg)
    if not rest.startswith("//"):
        msg = "a URL without // behind the scheme"
        raise ValueError(msg)
    return _parse_postgresql(rest[2:])


def _parse_sqlite(url: str) -> DatabaseUrl:
    if not url.startswith(_SQLITE):
        msg = "sqlite:// with two slashes"
        raise ValueError(msg)
    path = url.removeprefix(_SQLITE)
    if "?" in path or "#" in path:
        msg = "a path with ? or # in it: write %3F and %23"
        raise ValueError(msg)
    path = unquote(path)
    if path.strip("/") in {"", ":memory:"}:
        msg = "a URL without a file"
        raise ValueError(msg)
    if "\0" in path:
        msg = "a path with a NUL in it"
        raise ValueError(msg)
    return DatabaseUrl(file=path)


def _parse_postgresql(rest: str) -> DatabaseUrl:
    at = len(rest)
    place = None
    while place is None and at >= 0:
        at = rest.rfind("@", 0, at)
        place = _PLACE.fullmatch(rest, at + 1)
        if at < 0:
            break
    if place is None:
        msg = "a URL without the name of a database, as in postgresql://USER:PASSWORD@HOST/NAME"
        raise ValueError(msg)
    user, _, password = rest[: max(at, 0)].partition(":")
    try:
        options = dict(parse_qsl(place["options"] or "", strict_parsing=bool(place["options"])))
    except ValueError as error:
        msg = "options that are not NAME=VALUE, joined by &"
        raise ValueError(msg) from error
    return DatabaseUrl(
        user=unquote(user),
        password=unquote(password),
        host=place["host"].strip("[]"),
        port=_port(place["port"]),
        name=unquote(place["name"]),
        options=options,
    )


def _port(text: str | None) -> int | None:
    if not text:
        return None
    # It may be a piece of a password: only a number is shown.
    if not text.isascii() or not text.isdecimal():
        msg = "a port that is not a number"
        raise ValueError(msg)
    if not 0 < int(text[:6]) <= HIGHEST_PORT:
        msg = f"the port {text[:6]}"
        raise ValueError(msg)
    return int(text)
