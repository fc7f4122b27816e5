"""`make test-all`: the tests on every Python at hand that God-Kaiser supports, each in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests import ROOT

OLDEST = (3, 11)
NAMES = ("python3", *(f"python3.{minor}" for minor in range(OLDEST[1], 30)))
QUESTION = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"


def at_hand(pyenv: Path) -> dict[str, str]:
    """Each version, as 3.12, and its program: of PATH, else the newest of pyenv."""
    of_pyenv = sorted(pyenv.glob("versions/3.*/bin/python"), key=_release, reverse=True)
    candidates = [*filter(None, map(shutil.which, NAMES)), *map(str, of_pyenv)]
    found: dict[str, str] = {}
    for program in candidates:
        version = _version(program)
        if version is not None and tuple(map(int, version.split("."))) >= OLDEST:
            found.setdefault(version, program)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))


def _release(program: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", program.parts[-3])]


def _version(program: str) -> str | None:
    """None where it does not start, or cannot make an environment."""
    asked = subprocess.run(
        [program, "-c", QUESTION], check=False, capture_output=True, text=True, timeout=30
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def main(tests: Iterable[str]) -> int:
    """The exit code: 1 when the tests fail on one of them."""
    found = at_hand(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")))
    print(f"Testing on Python {', '.join(found)}.", flush=True)
    failed = []
    for version, program in found.items():
        print(f"---- Python {version} ({program})", flush=True)
        command = ["make", "--no-print-directory", "test", f"TESTS={' '.join(tests)}"]
        done = subprocess.run(
            [*command, f"PYTHON={program}", f"VENV=.venv-{version}"], check=False, cwd=ROOT
        )
        if done.returncode:
            failed.append(version)
    print(f"Python {', '.join(found)}: {'failed on ' + ', '.join(failed) if failed else 'passed'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
