"""Without the extras: what needs none works, and what needs one says which.

The kind: an import at the top of a module that makes every gateway need what few of them use.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from godkaiser.errors.process import ExtraMissing
from godkaiser.host.extras import MODULES, require
from tests import ROOT

WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({list(MODULES.values())}))
from godkaiser.__main__ import main
main()
"""


def run_without_extras(*arguments, timeout_s=60):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], check=False, capture_output=True, text=True,
        timeout=timeout_s, cwd=ROOT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


def write(folder, text):
    path = folder / "godkaiser.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("extra", MODULES)
def test_a_missing_extra_is_told_with_its_remedy(monkeypatch, extra):
    require(extra, "This")
    monkeypatch.setitem(sys.modules, MODULES[extra], None)
    with pytest.raises(ExtraMissing) as caught:
        require(extra, "This")
    assert caught.value.message == (
        f"This needs the Python package {MODULES[extra]}, which is not installed."
        f" Install it: pip install 'godkaiser[{extra}]'"
    )


def test_version_check_and_the_database_on_sqlite_need_no_extra(tmp_path):
    config = write(tmp_path, '[database]\nurl = "sqlite:///g.db"\n')
    for command in (["version"], ["check", "--config", config], ["migrate", "--config", config]):
        done = run_without_extras(*command)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "extra"), [("migrate", "postgresql"), ("run", "postgresql"), ("demo", "demo")]
)
def test_a_command_that_needs_one_ends_with_one_line(tmp_path, command, extra):
    if command == "demo":
        options = ["--data", str(tmp_path / "data")]
    else:
        options = ["--config", write(tmp_path, '[database]\nurl = "postgresql://u@127.0.0.1/n"\n')]
    done = run_without_extras(command, *options)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, f"pip install 'godkaiser[{extra}]'" in line) == (78, True), done.stderr
