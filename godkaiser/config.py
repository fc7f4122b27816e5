"""Configuration: a TOML file, environment variables over it, and every mistake told at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

KAISER_ID = re.compile(r"[A-Za-z0-9_]{1,63}\Z")


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    kaiser_id: str = "god"
    data_dir: str = "var"


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8000"

    @property
    def host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        return split_address(self.listen)[1]


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password_file: str = ""
    tls: bool = False
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    keepalive_s: int = 30


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str = ""


class DevicesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`approval` manual: a new device waits for an operator; auto: it is let in at once."""

    approval: str = "manual"
    offline_after_s: int = 180


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    level: str = "info"
    format: str = "console"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    gateway: GatewayConfig = GatewayConfig()
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig = MqttConfig()
    database: DatabaseConfig = DatabaseConfig()
    devices: DevicesConfig = DevicesConfig()
    log: LogConfig = LogConfig()
    jwt_secret: str = ""

    @property
    def data_dir(self) -> Path:
        return Path(self.gateway.data_dir)

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.data_dir / 'godkaiser.db'}"


class Mistake(msgspec.Struct, frozen=True):
    """`where` is file:line or the name of an environment variable."""

    where: str
    key: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: expected {self.expected}, found {self.found}"


class ConfigError(Exception):
    """The configuration cannot be used; it holds every mistake."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


# ---- what each key may be: (what is expected, in words; whether a value is that)

Test = Callable[[Any], bool]


def split_address(text: str) -> tuple[str, int]:
    """HOST:PORT as a pair; raises ValueError."""
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:  # noqa: PLR2004
        msg = f"'{text}' is not HOST:PORT"
        raise ValueError(msg)
    return host.strip("[]"), int(port)


def _is_address(value: Any) -> bool:
    try:
        split_address(value)
    except (ValueError, AttributeError):
        return False
    return True


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _number(low: int, high: int) -> Test:
    return lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    )


def _one_of(*words: str) -> Test:
    return lambda value: value in words


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and (value == "" or Path(value).is_file())


def _is_database_url(value: Any) -> bool:
    return isinstance(value, str) and (
        value == "" or value.startswith(("sqlite:///", "postgresql://", "postgres://"))
    )


_PORT = "a port from 1 to 65535"
_FILE = "the path of a file that can be read"
_KEYS: dict[str, dict[str, tuple[str, Test]]] = {
    "gateway": {
        "kaiser_id": (
            "1 to 63 letters, digits or _",
            lambda value: isinstance(value, str) and KAISER_ID.match(value) is not None,
        ),
        "data_dir": ("the path of a folder", _filled),
    },
    "http": {"listen": ('an address like "127.0.0.1:8000"', _is_address)},
    "mqtt": {
        "host": ("a host name or address", _filled),
        "port": (_PORT, _number(1, 65535)),
        "username": ("a text", _text),
        "password_file": (_FILE, _is_file),
        "tls": ("true or false", lambda value: isinstance(value, bool)),
        "ca_cert": (_FILE, _is_file),
        "client_cert": (_FILE, _is_file),
        "client_key": (_FILE, _is_file),
        "keepalive_s": ("5 to 3600 seconds", _number(5, 3600)),
    },
    "database": {
        "url": ("sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME", _is_database_url)
    },
    "devices": {
        "approval": ('"manual" or "auto"', _one_of("manual", "auto")),
        "offline_after_s": ("10 to 86400 seconds", _number(10, 86400)),
    },
    "log": {
        "level": ('"debug", "info", "warning" or "error"',
                  _one_of("debug", "info", "warning", "error")),
        "format": ('"console" or "json"', _one_of("console", "json")),
    },
}  # fmt: skip

_ENVIRONMENT: dict[str, tuple[str, str]] = {
    "DATABASE_URL": ("database", "url"),
    "MQTT_BROKER_HOST": ("mqtt", "host"),
    "MQTT_BROKER_PORT": ("mqtt", "port"),
    "MQTT_USE_TLS": ("mqtt", "tls"),
    "MQTT_CA_CERT_PATH": ("mqtt", "ca_cert"),
    "MQTT_CLIENT_CERT_PATH": ("mqtt", "client_cert"),
    "MQTT_CLIENT_KEY_PATH": ("mqtt", "client_key"),
}
_WORDS_OF_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration of `path` (None: the defaults) with the environment over it.

    Raises:
        ConfigError: with every mistake that was found.
    """
    mistakes: list[Mistake] = []
    values: dict[str, dict[str, Any]] = {}
    if path is not None:
        values = _read_file(path, mistakes)
    _read_environment(environ, values, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    config = msgspec.convert(values, Config)
    return msgspec.structs.replace(config, jwt_secret=environ.get("JWT_SECRET_KEY", ""))


def _read_file(path: Path, mistakes: list[Mistake]) -> dict[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        mistakes.append(Mistake(str(path), "file", "a readable TOML file", reason))
        return {}
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where = f"{path}:{line.group(1)}" if line else str(path)
        mistakes.append(Mistake(where, "syntax", "valid TOML", str(error)))
        return {}
    lines = _lines_of_keys(text)
    values: dict[str, dict[str, Any]] = {}
    for section, content in document.items():
        where = f"{path}:{lines.get((section, ''), 1)}"
        known = _KEYS.get(section)
        if known is None or not isinstance(content, dict):
            mistakes.append(
                Mistake(where, f"[{section}]", _suggest(section, _KEYS, "a section"), "this")
            )
            continue
        for key, value in content.items():
            where = f"{path}:{lines.get((section, key), lines.get((section, ''), 1))}"
            if key not in known:
                expected = _suggest(key, known, f"a key of [{section}]")
                mistakes.append(Mistake(where, f"[{section}] {key}", expected, "this"))
                continue
            expected, test = known[key]
            if test(value):
                values.setdefault(section, {})[key] = value
            else:
                mistakes.append(Mistake(where, f"[{section}] {key}", expected, _shown(key, value)))
    return values


def _read_environment(
    environ: Mapping[str, str], values: dict[str, dict[str, Any]], mistakes: list[Mistake]
) -> None:
    for name, (section, key) in _ENVIRONMENT.items():
        text = environ.get(name)
        if text is None or text == "":
            continue
        value: Any = text
        if key == "port":
            value = int(text) if text.isdecimal() else text
        elif key == "tls":
            value = _WORDS_OF_TRUTH.get(text.lower(), text)
        expected, test = _KEYS[section][key]
        if test(value):
            values.setdefault(section, {})[key] = value
        else:
            mistakes.append(Mistake(f"environment: {name}", key, expected, _shown(key, value)))


def _shown(key: str, value: Any) -> str:
    # A URL may hold a password.
    return "another form" if key == "url" else repr(value)


def _suggest(word: str, known: Mapping[str, Any], what: str) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"{what}, perhaps '{near[0]}'"
    return f"{what}: {', '.join(known)}"


def _lines_of_keys(text: str) -> dict[tuple[str, str], int]:
    """The line of each section and key; tomllib does not tell."""
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        if header:
            section = header.group(1)
            lines[section, ""] = number
            continue
        key = re.match(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""", line)
        if key:
            lines.setdefault((section, key.group(1)), number)
            if not section:
                lines.setdefault((key.group(1), ""), number)
    return lines
