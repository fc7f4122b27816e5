"""Configuration: a TOML file, environment variables over it, and every mistake told at once.

What each key may be is the table in `config_keys`. A relative path in the file is relative to the folder
of the file, for every command and whatever the working directory; one in the environment, or without a
file, is relative to the working directory.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.config.database_url import HIGHEST_PORT, sqlite_url
from godkaiser.config.keys import (
    ENVIRONMENT,
    KEYS,
    PREVIOUS_SECRET_VARIABLE,
    SECRET_VARIABLE,
    STOP_ACCOUNT,
    flaw_of_key_pair,
    shown,
    split_address,
    weakness_of_secret,
)
from godkaiser.config.lines import lines_of_keys
from godkaiser.config.mounts import missing_mount

__all__ = [
    "Config",
    "ConfigError",
    "DatabaseConfig",
    "DebugConfig",
    "DevicesConfig",
    "GatewayConfig",
    "HttpConfig",
    "LogConfig",
    "Mistake",
    "MqttConfig",
    "NotifyConfig",
    "OutboundConfig",
    "RetentionConfig",
    "SafetyConfig",
    "SpoolConfig",
    "describe",
    "load",
    "read_toml",
    "split_address",
]

ENVIRONMENT_NAME = "environment"
_WORDS_OF_TRUTH = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    kaiser_id: str = "god"
    data_dir: str = "var"


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`trusted_proxy`: the address of the one whose X-Forwarded-For is believed. `requests_per_s` of each
    person, key or address; 0 is no limit.
    """

    listen: str = "127.0.0.1:8000"
    trusted_proxy: str = ""
    requests_per_s: int = 200
    login_attempts: int = 5
    login_lockout_s: int = 300
    cors_origins: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        return split_address(self.listen)[1]


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Empty paths and names mean: none. `keepalive_s` in seconds.

    `stop_password_file` is of the account `godkaiser-estop`, which may publish the stop and nothing else.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    username: str = ""
    password_file: str = ""
    stop_password_file: str = ""
    tls: bool = False
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""
    keepalive_s: int = 30


class BrokerAccountsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where `passwd` and `acl` for Mosquitto are written; no `folder`: they are somebody else's."""

    folder: str = ""
    pid_file: str = ""


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The circuit breaker: so many failures in a row, then left alone, then one try (seconds)."""

    url: str = ""
    breaker_failures: int = 5
    breaker_open_s: int = 60
    breaker_half_open_s: int = 30


class SpoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where readings go while the database is away: `data_dir`/spool, at most `max_bytes`.

    `when_full` thin: the oldest readings of the busiest series go; hold: nothing more is taken.
    """

    max_bytes: int = 256 * 1024 * 1024
    when_full: str = "thin"
    replay_per_s: int = 2000


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Days that things are kept, 0: for ever. With `dry_run` it is only told what would go."""

    readings_days: int = 0
    minutes_days: int = 0
    hours_days: int = 0
    history_days: int = 0
    audit_days: int = 0
    dry_run: bool = True


class DevicesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`approval` manual: a new device waits for an operator; auto: it is let in at once."""

    approval: str = "manual"
    offline_after_s: int = 180


class SafetyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Files with the emergency tokens that are set on the devices; empty: none is set."""

    device_token_file: str = ""
    broadcast_token_file: str = ""


class NotifyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How e-mail leaves; without `smtp_host` none does."""

    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password_file: str = ""
    smtp_from: str = "god-kaiser@localhost"
    smtp_starttls: bool = True


class OutboundConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Networks, addresses and host names inside that webhooks and notifications may be sent to."""

    allow: tuple[str, ...] = ()


class DebugConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoints` opens /debug and /system/actors/crash, for people alone."""

    endpoints: bool = False


class LiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The live socket: "" is the address of [http] at the next port, "off" is none."""

    listen: str = ""


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    level: str = "info"
    format: str = "console"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    gateway: GatewayConfig = GatewayConfig()
    http: HttpConfig = HttpConfig()
    mqtt: MqttConfig = MqttConfig()
    broker_accounts: BrokerAccountsConfig = BrokerAccountsConfig()
    database: DatabaseConfig = DatabaseConfig()
    spool: SpoolConfig = SpoolConfig()
    retention: RetentionConfig = RetentionConfig()
    devices: DevicesConfig = DevicesConfig()
    safety: SafetyConfig = SafetyConfig()
    notify: NotifyConfig = NotifyConfig()
    outbound: OutboundConfig = OutboundConfig()
    debug: DebugConfig = DebugConfig()
    live: LiveConfig = LiveConfig()
    log: LogConfig = LogConfig()
    jwt_secret: str = ""
    """From JWT_SECRET_KEY; "" means the key file in `data_dir`, made on the first start."""
    jwt_secret_previous: str = ""
    """From JWT_SECRET_KEY_PREVIOUS: does not sign, and is still believed."""

    @property
    def live_address(self) -> tuple[str, int] | None:
        """Host and port of the live socket; None when there is to be none."""
        if self.live.listen == "off":
            return None
        if self.live.listen:
            return split_address(self.live.listen)
        # The port after the highest one is none; 0 is any.
        port = self.http.port
        return self.http.host, port + 1 if 0 < port < HIGHEST_PORT else 0

    @property
    def data_dir(self) -> Path:
        return Path(self.gateway.data_dir)

    @property
    def spool_dir(self) -> Path:
        return self.data_dir / "spool"

    @property
    def database_url(self) -> str:
        return self.database.url or sqlite_url(self.data_dir / "godkaiser.db")


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to mend. `line` counts from 1; None where there is none (a missing file, the
    environment, whose `file` is "environment" and whose `key` is the variable). `passing`: it may pass
    by itself, as a disk that is not mounted yet.
    """

    file: str
    line: int | None
    key: str
    expected: str
    found: str
    passing: bool = False

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key}: " if self.key else ""
        return f"{where}: {subject}expected {self.expected}, found {self.found}"


class ConfigError(Exception):
    """The configuration cannot be used; it holds every mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def describe(error: ConfigError) -> list[str]:
    """A line for each mistake, as an editor or a terminal makes it a link:
    ``conf/godkaiser.toml:12: [mqtt] port: expected an integer from 1 to 65535, found "abc"``.
    """
    return [str(mistake) for mistake in error.mistakes]


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration of `path` (None: the defaults) with the environment over it.

    Raises:
        ConfigError: with every mistake that was found.
    """
    reading = Reading()
    if path is not None:
        reading.read_file(path)
    reading.read_environment(environ)
    reading.compare_keys()
    if reading.mistakes:
        raise ConfigError(sorted(reading.mistakes, key=_order))
    return secrets_of(msgspec.convert(reading.values, Config), environ)


def secrets_of(config: Config, environ: Mapping[str, str]) -> Config:
    """With the signing keys of the environment, which no file holds."""
    return msgspec.structs.replace(
        config,
        jwt_secret=environ.get(SECRET_VARIABLE, "").strip(),
        jwt_secret_previous=environ.get(PREVIOUS_SECRET_VARIABLE, "").strip(),
    )


class Reading:
    """What was read so far: the good values, where each came from, and the mistakes."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.mistakes: list[Mistake] = []
        self._origins: dict[tuple[str, str], tuple[str, int | None, str]] = {}
        self.folder: Path | None = None

    def read_file(self, path: Path) -> None:
        try:
            text, document = read_toml(path)
        except ConfigError as error:
            self.mistakes += error.mistakes
            return
        self.take_document(path, document, lines_of_keys(text))

    def take_document(
        self,
        path: Path,
        document: Mapping[str, Any],
        lines: Mapping[tuple[str | int, ...], int] = {},
    ) -> None:
        """Test each key of a file that was read."""
        self.folder = path.parent.absolute()
        self.values["gateway"] = {"data_dir": str(self.folder / GatewayConfig().data_dir)}
        for section, content in document.items():
            self._read_section(str(path), lines, section, content)

    def read_environment(self, environ: Mapping[str, str]) -> None:
        for name, (section, key) in ENVIRONMENT.items():
            text = environ.get(name, "").strip()
            if not text:
                continue
            value: Any = text
            if key == "port" and text.isascii() and text.isdecimal():
                value = int(text)
            elif key == "tls":
                value = _WORDS_OF_TRUTH.get(text.lower(), text)
            self._take((ENVIRONMENT_NAME, None, name), section, key, value)
        for name in (SECRET_VARIABLE, PREVIOUS_SECRET_VARIABLE):
            secret = environ.get(name, "").strip()
            weakness = weakness_of_secret(secret) if secret else None
            if weakness is not None:
                expected = "at least 32 random characters, or to be unset (then one is made)"
                self._refuse(ENVIRONMENT_NAME, None, name, expected, weakness)

    def compare_keys(self) -> None:
        """Mistakes that only two keys together make."""
        mqtt = self.values.get("mqtt", {})
        for key, other in (("client_cert", "client_key"), ("client_key", "client_cert")):
            if mqtt.get(key) and not mqtt.get(other) and not self._refused("mqtt", other):
                self._refuse(*self._origins["mqtt", key], f"{other} beside it", "none")
        if mqtt.get("client_cert") and mqtt.get("client_key"):
            flaw = flaw_of_key_pair(mqtt["client_cert"], mqtt["client_key"])
            if flaw is not None:
                origin = self._origins["mqtt", "client_key"]
                expected = "the key of client_cert (PEM, without a passphrase)"
                # A renewal writes one file after the other: a start in between is tried again.
                self._refuse(*origin, expected, flaw, passing="KEY_VALUES_MISMATCH" in flaw)
        if mqtt.get("username") == STOP_ACCOUNT:
            origin = self._origins["mqtt", "username"]
            self._refuse(*origin, "another name", "that of the account that may only stop")
        if mqtt.get("password_file") and not mqtt.get("username"):
            origin = self._origins["mqtt", "password_file"]
            self._refuse(*origin, "username beside it", "none")
        if self.values.get("broker_accounts", {}).get("folder") and not mqtt.get("password_file"):
            # The gateway would lock itself out.
            origin = self._origins["broker_accounts", "folder"]
            self._refuse(*origin, "[mqtt] username and password_file with it", "none")
        # Whoever names a certificate and forgets the switch would talk in the clear unknowingly.
        if "tls" not in mqtt and not self._refused("mqtt", "tls"):
            for key in ("ca_cert", "client_cert"):
                if mqtt.get(key):
                    self._refuse(*self._origins["mqtt", key], "tls = true or false with it", "none")
                    break

    def _read_section(
        self, file: str, lines: Mapping[tuple[str | int, ...], int], section: str, content: Any
    ) -> None:
        line = lines.get((section,))
        known = KEYS.get(section)
        if known is None and isinstance(content, dict):
            expected = f"a section, {_nearest(section, KEYS)}"
            self._refuse(file, line, f"[{section}]", expected, f'"{section}"')
        elif known is None:
            expected = f"it in a section, {_nearest(section, KEYS, _homes(section))}"
            self._refuse(file, line, section, expected, "it outside of all sections")
        elif not isinstance(content, dict):
            self._refuse(file, line, section, f"the section [{section}]", shown(content))
        else:
            for key, value in content.items():
                where = lines.get((section, key), line)
                if key in known:
                    locate = known[key].located
                    if locate is not None and self.folder is not None and isinstance(value, str):
                        value = locate(value, self.folder)  # noqa: PLW2901
                    self._take((file, where, f"[{section}] {key}"), section, key, value)
                else:
                    expected = f"a key of [{section}], {_nearest(key, known, _homes(key))}"
                    self._refuse(file, where, f"[{section}] {key}", expected, f'"{key}"')

    def _take(
        self, origin: tuple[str, int | None, str], section: str, key: str, value: Any
    ) -> None:
        self._origins[section, key] = origin
        known = KEYS[section][key]
        found = known.test(value)
        if found is None:
            self.values.setdefault(section, {})[key] = value
        else:
            is_path = known.located is not None and isinstance(value, str) and value.isprintable()
            passing = is_path and missing_mount(Path(value)) is not None
            self._refuse(*origin, known.expected, found, passing=passing)

    def _refused(self, section: str, key: str) -> bool:
        return (section, key) in self._origins and key not in self.values.get(section, {})

    def _refuse(
        self, file: str, line: int | None, key: str, expected: str, found: str,
        *, passing: bool = False,
    ) -> None:  # fmt: skip
        self.mistakes.append(
            Mistake(file=file, line=line, key=key, expected=expected, found=found, passing=passing)
        )


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a file and the tables in it. Raises ConfigError with the line of the mistake."""
    file = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refusal(file, None, "a regular file", "a folder, a pipe or a device")
        # Editors of Windows put a byte order mark, which TOML has no word for.
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            # What a power cut or a full disk leaves behind must not pass for "all as by default".
            raise _refusal(file, None, "keys or declarations (or no such file)", "an empty file")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise _refusal(file, None, "a text in UTF-8", f"another byte at {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise _syntax_refusal(file, text, str(error)) from error
    except RecursionError as error:
        raise _refusal(file, None, "valid TOML", "brackets nested too deep") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        passing = isinstance(error, OSError) and missing_mount(path) is not None
        found = f"none ({reason})"
        raise _refusal(file, None, "a file that can be read", found, passing=passing) from error


def _refusal(
    file: str, line: int | None, expected: str, found: str, *, passing: bool = False
) -> ConfigError:
    mistake = Mistake(file=file, line=line, key="", expected=expected, found=found, passing=passing)
    return ConfigError([mistake])


def _syntax_refusal(file: str, text: str, reason: str) -> ConfigError:
    place = re.search(r" \(at line (\d+), column (\d+)\)\Z", reason)
    if place is None:
        # "(at end of document)"
        return _refusal(file, text.count("\n") + 1, "valid TOML", reason)
    found = f"at column {place.group(2)}: {reason[: place.start()]}"
    return _refusal(file, int(place.group(1)), "valid TOML", found)


def _order(mistake: Mistake) -> tuple[bool, int]:
    """As one reads: the file from top to bottom, then the environment."""
    return mistake.file == ENVIRONMENT_NAME, mistake.line or 0


def _homes(key: str) -> list[str]:
    return [f"[{section}]" for section, keys in KEYS.items() if key in keys]


def _nearest(word: str, known: Iterable[str], homes: Iterable[str] = ()) -> str:
    """What the author may have meant: another section, a like word, or else all there are."""
    choices = list(known)
    places = list(homes)
    if places:
        return f"perhaps in {' or '.join(places)}"
    near = difflib.get_close_matches(word.lower(), choices, n=1)
    return f'perhaps "{near[0]}"' if near else f"one of {', '.join(choices)}"
