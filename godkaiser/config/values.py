"""The rule for one value of the configuration: its text, its test and, for a path, its base folder."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from godkaiser.config import database_url
from godkaiser.config.database_url import HIGHEST_PORT
from godkaiser.config.secret_file import first_line

KAISER_ID = re.compile(r"[A-Za-z0-9_]{1,63}\Z")
MIN_SECRET_CHARACTERS = 32
"""RFC 7518, 3.2: a key for HS256 has at least 256 bits."""
WELL_KNOWN = ("change", "default", "example", "insecure", "password", "secret")
"""In a text that is long enough and yet known to everybody. By chance in a random one: never."""

Test = Callable[[Any], str | None]
"""Takes a value; None when it is good, else what was found, in words that hold no secret."""

Located = Callable[[str, Path], str]
"""Takes a relative path, or what holds one, and the folder that it is relative to."""


class Rule(NamedTuple):
    """`expected` completes the sentence "expected ...". `located` is of values that hold a path."""

    expected: str
    test: Test
    located: Located | None = None


def split_address(text: str) -> tuple[str, int]:
    """HOST:PORT or [IPV6]:PORT as a pair; raises ValueError."""
    host, separator, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    ambiguous = ":" in host and not (host.startswith("[") and host.endswith("]"))
    digits = port.isascii() and port.isdecimal()
    if not separator or not bare or ambiguous or not digits or int(port) > HIGHEST_PORT:
        msg = f"'{text}' is not HOST:PORT"
        raise ValueError(msg)
    return bare, int(port)


def shown(value: Any) -> str:
    """A value as its author wrote it, on one line and cut; tables and arrays by their kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes keep line ends and terminal codes out of the report.
        text = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
        return json.dumps(text)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return str(value)


def weakness_of_secret(secret: str) -> str | None:
    """Why a signing secret is refused, without the secret; None when it is good."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        return f"one of {len(secret)} characters"
    if len(set(secret)) < MIN_SECRET_CHARACTERS // 4:
        return "one that repeats a few characters"
    if any(word in secret.lower() for word in WELL_KNOWN):
        return "one that stands in examples"
    return None


_LONGEST_SHOWN = 200
_LONGEST_TOKEN = 64


def _where(accept: Callable[[Any], bool]) -> Test:
    return lambda value: None if accept(value) else shown(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def integer(low: int, high: int, meaning: str = "") -> Rule:
    """`meaning`: its unit, or what a special number does."""

    def accept(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    words = f"an integer from {low} to {high}"
    return Rule(f"{words} ({meaning})" if meaning else words, _where(accept))


def one_of(*words: str) -> Rule:
    *others, last = (f'"{word}"' for word in words)
    expected = f"{', '.join(others)} or {last}"
    return Rule(expected, _where(lambda value: isinstance(value, str) and value in words))


def _address(value: Any) -> bool:
    try:
        split_address(value)
    except (ValueError, AttributeError):
        return False
    return True


def _ip_or_nothing(value: Any) -> bool:
    try:
        return value == "" or bool(ipaddress.ip_address(value))
    except ValueError:
        return False


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


def _destinations(value: Any) -> str | None:
    """A text of digits, dots and a slash that is not a network is a mistake, and no host."""
    if not isinstance(value, list):
        return shown(value)
    flaws = [flaw for entry in value if (flaw := _flaw_of_destination(entry))]
    return "; ".join(flaws) or None


def _flaw_of_destination(entry: Any) -> str:
    if not isinstance(entry, str):
        return f"{shown(entry)} among them"
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError as error:
        is_host = _HOST.fullmatch(entry) is not None and not entry[-1].isdigit()
        reason = str(error).replace("'", '"') if "/" in entry else "neither a network nor a name"
        return "" if is_host else f"{shown(entry)} ({reason})"
    return ""


def _origins(value: Any) -> bool:
    """As a browser sends them: scheme, host and port, and nothing behind."""
    return isinstance(value, list) and all(
        isinstance(origin, str) and re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", origin) is not None
        for origin in value
    )


def _folder(value: Any) -> str | None:
    if not _filled(value):
        return shown(value)
    return f"{shown(value)}, which is not a folder" if Path(value).is_file() else None


def _readable_file(value: Any) -> str | None:
    if value == "":
        return None
    if not isinstance(value, str):
        return shown(value)
    try:
        path = Path(value)
        if path.is_fifo() or path.is_char_device():
            return f"{shown(value)}, which is a pipe or a device"
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the name.
        reason = getattr(error, "strerror", None) or str(error)
        return f"{shown(value)} ({reason})"
    return None


def _password_file(value: Any) -> str | None:
    refused = _readable_file(value)
    if refused is not None or value == "":
        return refused
    try:
        first_line(Path(value))
    except ValueError as error:
        return f"{shown(value)}, {error}"
    return None


def _token_file(value: Any) -> str | None:
    """A token is a secret: only its length is ever shown."""
    refused = _password_file(value)
    if refused is not None or value == "":
        return refused
    token = first_line(Path(value))
    if not token.isascii():
        return f"{shown(value)}, which holds other than printable ASCII characters"
    if len(token) <= _LONGEST_TOKEN:
        return None
    return f"{shown(value)}, which holds {len(token)} characters"


def _certificates(value: Any) -> str | None:
    refused = _readable_file(value)
    if refused is not None or value == "":
        return refused
    try:
        ssl.create_default_context(cafile=value)
    except (ssl.SSLError, ValueError) as error:
        return f"{shown(value)}, which holds none ({getattr(error, 'reason', None) or error})"
    return None


def flaw_of_key_pair(certificate: str, key: str) -> str | None:
    """Why a client certificate and its key cannot be used together; None when they can."""
    try:
        # A key with a passphrase would ask for it at the terminal.
        ssl.create_default_context().load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        return f"{shown(key)} ({getattr(error, 'reason', None) or error})"
    except OSError as error:
        return f"{shown(key)} ({error.strerror})"
    return None


def path_beside(value: str, folder: Path) -> str:
    """A relative path, from the folder of the configuration file. "" stays: it means none."""
    return str(folder / value) if value else value


def _url_beside(value: str, folder: Path) -> str:
    prefix, _, path = value.partition(":///")
    if prefix != "sqlite" or path in {"", ":memory:"} or path.startswith("/"):
        return value
    return f"sqlite:///{quote(str(folder))}/{path}"


def _database_url(value: Any) -> str | None:
    """A URL may hold a password: only its scheme is ever shown."""
    if not isinstance(value, str):
        return shown(value)
    if value == "":
        return None
    try:
        database_url.parse(value)
    except ValueError as error:
        return str(error)
    return None


def _strong_secret(value: Any) -> str | None:
    return weakness_of_secret(value) if isinstance(value, str) else "something else than a text"


TRUE_OR_FALSE = Rule("true or false", _where(lambda value: isinstance(value, bool)))
TEXT = Rule("a text", _where(_text))
GATEWAY_NAME = Rule(
    "1 to 63 letters, digits or _",
    _where(lambda value: isinstance(value, str) and KAISER_ID.match(value) is not None),
)
LISTEN = Rule('an address like "127.0.0.1:8000"', _where(_address))
LISTEN_OR_OFF = Rule(
    'an address like "127.0.0.1:8001", "" (the port after that of [http]) or "off"',
    _where(lambda value: value in ("", "off") or _address(value)),
)
IP_ADDRESS = Rule('an IP address, or ""', _where(_ip_or_nothing))
PORT = integer(1, HIGHEST_PORT)
HOST = Rule("a host name or address", _where(_filled))
MAIL_SERVER = Rule("the name of a mail server, or empty", _where(_text))
MAIL_ADDRESS = Rule("an e-mail address", _where(_filled))
ORIGINS = Rule('a list of origins like ["https://panel.example"], without "*"', _where(_origins))
DESTINATIONS = Rule(
    'a list of networks, addresses or host names like ["192.168.1.0/24", "panel.local"]',
    _destinations,
)
DATABASE_URL = Rule(
    "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME", _database_url, _url_beside
)
DAYS = integer(0, 36_500, "days; 0: for ever")
FOLDER = Rule("the path of a folder", _folder, path_beside)
FOLDER_OR_NONE = Rule(
    'the path of a folder, or ""',
    lambda value: None if value == "" else _folder(value),
    path_beside,
)
READABLE_FILE = Rule("the path of a file that can be read", _readable_file, path_beside)
PID_FILE = Rule("the path of Mosquitto's pid_file, or empty", _where(_text), path_beside)
PASSWORD_FILE = Rule("the path of a readable file with the password", _password_file, path_beside)
TOKEN_FILE = Rule("the path of a file with a token of 1 to 64 characters", _token_file, path_beside)
CERTIFICATES = Rule("the path of a file with certificates (PEM)", _certificates, path_beside)
SIGNING_SECRET = Rule(
    "at least 32 random characters, or to be unset (then one is made)", _strong_secret
)
