"""What is declared beside a configuration file: `devices.d` and `rules.d` together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from godkaiser.config import rule_files, site_files
from godkaiser.config.declared_files import listing
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.rule_files import read_rules
from godkaiser.config.site_files import read_site
from godkaiser.domain.declared import NOTHING, Declared, DeclaredRule


def read_beside(path: Path | None) -> Declared:
    """Both folders; nothing without a configuration file. Raises ConfigError with every mistake."""
    if path is None:
        return NOTHING
    mistakes: list[Mistake] = []
    site, declared = NOTHING, tuple[DeclaredRule, ...]()
    try:
        site = read_site(path.parent / site_files.FOLDER)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        declared = read_rules(path.parent / rule_files.FOLDER)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return msgspec.structs.replace(site, rules=declared)


def ignored_beside(path: Path) -> list[str]:
    """The files of both folders that are not read."""
    return [
        f"{folder.name}/{name}"
        for folder in (path.parent / site_files.FOLDER, path.parent / rule_files.FOLDER)
        for name in listing(folder).ignored
    ]
