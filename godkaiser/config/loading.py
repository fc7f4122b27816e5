"""Reading the configuration: a TOML file, environment variables over it, and every mistake told at once.

What each key may be stands in `settings.py`. A relative path in the file is relative to the folder of the
file, for every command and whatever the working directory; one in the environment, or without a file, is
relative to the working directory.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from godkaiser.config.lines import lines_of_keys
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.mounts import missing_mount
from godkaiser.config.settings import (
    ENVIRONMENT,
    KEYS,
    SECRETS,
    STOP_ACCOUNT,
    Config,
    GatewayConfig,
)
from godkaiser.config.toml_file import read_toml
from godkaiser.config.values import flaw_of_key_pair, shown

ENVIRONMENT_NAME = "environment"
_WORDS_OF_TRUTH = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip


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
    found = {field: environ.get(name, "").strip() for name, (field, _) in SECRETS.items()}
    return msgspec.structs.replace(config, **found)


class Reading:
    """The state of reading: the valid values, their origins, and the mistakes."""

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
            default = getattr(getattr(Config(), section), key)
            value: Any = text
            if isinstance(default, bool):
                value = _WORDS_OF_TRUTH.get(text.lower(), text)
            elif isinstance(default, int) and text.isascii() and text.isdecimal():
                value = int(text)
            self._take((ENVIRONMENT_NAME, None, name), section, key, value)
        for name, (_, setting) in SECRETS.items():
            secret = environ.get(name, "").strip()
            weakness = setting.rule.test(secret) if secret else None
            if weakness is not None:
                self._refuse(ENVIRONMENT_NAME, None, name, setting.rule.expected, weakness)

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
        lacks_name = not mqtt.get("username") and not self._refused("mqtt", "username")
        if mqtt.get("password_file") and lacks_name:
            origin = self._origins["mqtt", "password_file"]
            self._refuse(*origin, "username beside it", "none")
        lacks_password = not mqtt.get("password_file") and not self._refused(
            "mqtt", "password_file"
        )
        if self.values.get("broker_accounts", {}).get("folder") and lacks_password:
            # The gateway would lock itself out.
            origin = self._origins["broker_accounts", "folder"]
            self._refuse(*origin, "[mqtt] username and password_file with it", "none")
        # A certificate without the tls switch would mean an unencrypted connection by mistake.
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
                    locate = known[key].rule.located
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
        rule = KEYS[section][key].rule
        found = rule.test(value)
        if found is None:
            self.values.setdefault(section, {})[key] = value
        else:
            is_path = rule.located is not None and isinstance(value, str) and value.isprintable()
            passing = is_path and missing_mount(Path(value)) is not None
            self._refuse(*origin, rule.expected, found, passing=passing)

    def _refused(self, section: str, key: str) -> bool:
        return (section, key) in self._origins and key not in self.values.get(section, {})

    def _refuse(
        self, file: str, line: int | None, key: str, expected: str, found: str,
        *, passing: bool = False,
    ) -> None:  # fmt: skip
        self.mistakes.append(
            Mistake(file=file, line=line, key=key, expected=expected, found=found, passing=passing)
        )


def _order(mistake: Mistake) -> tuple[bool, int, str]:
    """As one reads: the file from top to bottom, then the environment by name."""
    is_variable = mistake.file == ENVIRONMENT_NAME
    return is_variable, mistake.line or 0, mistake.key if is_variable else ""


def _homes(key: str) -> list[str]:
    return [f"[{section}]" for section, keys in KEYS.items() if key in keys]


def _nearest(word: str, known: Iterable[str], homes: Iterable[str] = ()) -> str:
    """Suggestions for the author: another section, a similar word, or else all words."""
    choices = list(known)
    places = list(homes)
    if places:
        return f"perhaps in {' or '.join(places)}"
    near = difflib.get_close_matches(word.lower(), choices, n=1)
    return f'perhaps "{near[0]}"' if near else f"one of {', '.join(choices)}"
