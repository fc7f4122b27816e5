"""One TOML file that an administrator wrote, and what is told when it is none."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.mounts import missing_mount


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
