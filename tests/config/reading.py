"""The files of a folder, where the tests expect them to be good or to be refused as a whole."""

from __future__ import annotations

from pathlib import Path

from godkaiser.config.mistakes import ConfigError
from godkaiser.config.rule_files import look_at_rules
from godkaiser.config.site_files import look_at_site
from godkaiser.domain.declared import Declared, DeclaredRule


def read_rules(folder: Path | None) -> tuple[DeclaredRule, ...]:
    """Raises ConfigError with every mistake."""
    found, mistakes = look_at_rules(folder)
    if mistakes:
        raise ConfigError(mistakes)
    return found


def read_site(folder: Path | None) -> Declared:
    """Raises ConfigError with every mistake."""
    found, mistakes = look_at_site(folder)
    if mistakes:
        raise ConfigError(mistakes)
    return found
