"""Makes the commented configuration file, and its page in the documentation, from the table of settings.

python -m godkaiser.config.reference     updates both in the working directory
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from godkaiser.config.settings import KEYS, LIVE, SECRETS, SECTIONS, Config, Setting

WIDTH = 100
HEAD_OF_FILE = """\
God-Kaiser, production configuration. Every key is optional; the values here are the defaults, unless \
a comment says otherwise. Check it with: godkaiser check --config conf/godkaiser.toml
A relative path is relative to this file, whatever the working directory.
docs/configuration.md lists what each key accepts. This file is made by `make reference`: edit a copy."""
HEAD_OF_PAGE = """\
# Configuration

`godkaiser run --config FILE` reads one TOML file; [conf/godkaiser.toml](../conf/godkaiser.toml) is a copy of it
with every default. Every key is optional. `godkaiser check --config FILE` lists every mistake with its line.
Devices and rules are declared beside it, in `devices.d` ([safety](safety.md)) and `rules.d` ([rules](rules.md)).

- A relative path is relative to the folder of the file, whatever the working directory. One in the
  environment, or without a file, is relative to the working directory.
- An environment variable overrides the key of the file; an empty one overrides nothing.
- `godkaiser reload` and SIGHUP apply the keys with *reload: yes* while the gateway runs; the others need a restart.

This page is made from the table in `godkaiser/config/settings.py` by `make reference`.
"""
HEAD_OF_TABLE = """\
| key | default | meaning | takes | environment | reload |
|---|---|---|---|---|---|
"""


def example_file() -> str:
    """`conf/godkaiser.toml`."""
    parts = [_comment(HEAD_OF_FILE)]
    for section, keys in KEYS.items():
        lines = [f"{_comment(_about(section))}[{section}]\n"]
        for key, setting in keys.items():
            default = _default(section, key)
            value = default if setting.shipped is None else setting.shipped
            lines.append(f"{_comment(_explained(setting, default))}{key} = {_written(value)}\n")
        parts.append("".join(lines))
    return "\n".join(parts)


def page() -> str:
    """`docs/configuration.md`."""
    parts = [HEAD_OF_PAGE]
    for section, keys in KEYS.items():
        rows = [
            f"| `{key}` | `{_written(_default(section, key))}` | {_cell(setting.meaning)} |"
            f" {_cell(setting.rule.expected)} | {_code(setting.environment)} |"
            f" {'yes' if (section, key) in LIVE else ''} |\n"
            for key, setting in keys.items()
        ]
        parts.append(f"## [{section}]\n\n{_about(section)}\n\n{HEAD_OF_TABLE}{''.join(rows)}")
    rows = [
        f"| `{name}` | {_cell(setting.meaning)} | {_cell(setting.rule.expected)} |\n"
        for name, (_, setting) in SECRETS.items()
    ]
    parts.append(
        "## Secrets\n\nOnly from the environment; no file contains them.\n\n"
        f"| variable | meaning | takes |\n|---|---|---|\n{''.join(rows)}"
    )
    return "\n".join(parts)


FILES: dict[str, Callable[[], str]] = {
    "conf/godkaiser.toml": example_file,
    "docs/configuration.md": page,
}


def _about(section: str) -> str:
    return " ".join((SECTIONS[section].__doc__ or "").split())


def _explained(setting: Setting, default: Any) -> str:
    lines = [setting.meaning]
    if isinstance(default, int) and not isinstance(default, bool):
        lines.append(f"{setting.rule.expected[0].upper()}{setting.rule.expected[1:]}.")
    if setting.environment:
        lines.append(f"Environment: {setting.environment}")
    if setting.shipped is not None:
        lines.append(f"Not the default, which is {_written(default)}.")
    return "\n".join(lines)


def _default(section: str, key: str) -> Any:
    return getattr(getattr(Config(), section), key)


def _comment(text: str) -> str:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH - 2)]
    return "".join(f"# {line}\n" for line in lines)


def _written(value: Any) -> str:
    """As TOML: the same as JSON for texts, numbers, truth values and lists of texts."""
    return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    for name, make in FILES.items():
        Path(name).write_text(make(), encoding="utf-8")
