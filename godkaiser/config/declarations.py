"""Reads the declarations beside a configuration file: `devices.d` and `rules.d` together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from godkaiser.config import rule_files, site_files
from godkaiser.config.declared_files import listing
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.rule_files import look_at_rules
from godkaiser.config.site_files import look_at_site
from godkaiser.domain.declared import NOTHING, Declared, DeclaredRule


def look_beside(path: Path | None) -> tuple[Declared, list[Mistake]]:
    """Read both folders; return their valid declarations and every mistake. Mistakes in `devices.d` leave out
    all rules, because a rule may name a device that could not be read.
    """
    if path is None:
        return NOTHING, []
    site, declared = NOTHING, tuple[DeclaredRule, ...]()
    try:
        site, mistakes = look_at_site(path.parent / site_files.FOLDER)
    except ConfigError as error:
        mistakes = error.mistakes
    try:
        declared, of_rules = look_at_rules(path.parent / rule_files.FOLDER)
    except ConfigError as error:
        of_rules = error.mistakes
    rules = () if mistakes else declared
    return msgspec.structs.replace(site, rules=rules), [*mistakes, *of_rules]


def ignored_beside(path: Path) -> list[str]:
    """The files of both folders that are not read."""
    return [
        f"{folder.name}/{name}"
        for folder in (path.parent / site_files.FOLDER, path.parent / rule_files.FOLDER)
        for name in listing(folder).ignored
    ]
