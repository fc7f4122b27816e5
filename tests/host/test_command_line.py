"""What every command does alike, and what none does: show a traceback for a person's mistake.

The kind: a terminal, a character set or a pipe that is not like that of the author.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from godkaiser import __version__
from godkaiser.cli.main import app
from godkaiser.cli.operator import printable_line
from godkaiser.http.endpoints import BY_KEY

STREAMS = {"run", "demo", "simulate", "embedded-broker"}
"""These go on until they are stopped; the log of `run` can be JSON."""


def commands(group=None, path=()):
    found = {}
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, (*path, name))
        else:
            found[(*path, name)] = command
    return found


EACH = pytest.mark.parametrize("path", sorted(commands()), ids=" ".join)


@EACH
def test_each_command_answers_programs_too(path):
    options = [option for p in commands()[path].params for option in p.opts]
    assert "--json" in options or path[0] in STREAMS


@EACH
def test_each_command_knows_its_version(path):
    done = CliRunner().invoke(app, [*path, "--version"])
    assert (done.exit_code, done.output.strip()) == (0, __version__)


def test_the_program_and_its_groups_know_their_version():
    for path in ([], ["audit"], ["mqtt"], ["configure"]):
        done = CliRunner().invoke(app, [*path, "--version"])
        assert (done.exit_code, done.output.strip()) == (0, __version__)
    assert json.loads(CliRunner().invoke(app, ["version", "--json"]).output) == {
        "version": __version__
    }


def test_the_endpoints_are_told_from_their_records():
    listed = CliRunner().invoke(app, ["api", "--json"])
    assert {(one["method"], one["path"]) for one in json.loads(listed.output)} == set(BY_KEY)
    for endpoint in BY_KEY.values():
        shown = CliRunner().invoke(app, ["api", endpoint.method.lower(), f"/api/v1{endpoint.path}"])
        assert shown.exit_code == 0
        assert endpoint.says in shown.output
        assert all(one.name in shown.output for one in endpoint.query)
    some = CliRunner().invoke(app, ["api", "post", "calibration"]).output.splitlines()
    assert some and all(line.startswith("POST") and "calibration" in line for line in some)
    wrong = CliRunner().invoke(app, ["api", "nothing"])
    assert (wrong.exit_code, "no such endpoint" in wrong.output) == (2, True)


def run(*arguments, env=None, **streams):
    return subprocess.run(
        [sys.executable, "-m", "godkaiser", *arguments], check=False, timeout=60,
        env={**os.environ, **(env or {})}, **streams,
    )  # fmt: skip


def test_the_shell_completes():
    env = {"_GODKAISER_COMPLETE": "complete_bash", "COMP_WORDS": "godkaiser est", "COMP_CWORD": "1"}
    code = "import sys; sys.argv[0] = 'godkaiser'; from godkaiser.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["estop"]


@pytest.fixture
def declared(tmp_path):
    """A configuration whose names no terminal of the last century has."""
    (tmp_path / "rules.d").mkdir()
    (tmp_path / "rules.d" / "ü → 湿度.toml").write_text("[[rules]]\nname = 5\n")
    path = tmp_path / "godkaiser.toml"
    path.write_text('[mqtt]\nhost = "Gewächshaus → 湿度\\u001b[2J"\nport = 0\n')
    return str(path)


@pytest.mark.parametrize(
    "env",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"},
     {"PYTHONIOENCODING": "ascii:strict"}, {"TERM": "dumb", "COLUMNS": "1"}, {"LC_ALL": "xx_XX"}],
)  # fmt: skip
def test_no_character_set_and_no_terminal_makes_a_traceback(declared, env):
    for arguments in (["check", "--config", declared], ["--help"], ["check", "--config", "ü\udcff"],
                      ["run", "--config", declared], ["nonsense → ü"]):  # fmt: skip
        done = run(*arguments, env=env, capture_output=True)
        assert b"Traceback" not in done.stderr
        assert done.returncode in {0, 2, 78}
        assert b"\x1b[2J" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments", [["check", "--config", "conf/godkaiser.toml"], ["--help"], ["version"]]
)
def test_an_output_that_is_full_closed_or_gone_makes_no_traceback(arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert b"Traceback" not in done.stderr
    assert done.returncode != 0
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*arguments, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert b"Traceback" not in done.stderr
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "godkaiser", *arguments],
        stderr=subprocess.PIPE, check=False, timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in closed.stderr


@pytest.mark.parametrize(
    "arguments",
    [["backup", "--to", "/dev/null/x"], ["spool", "--data", "/dev/null"], ["mqtt", "sync", "--config", "/"],
     ["audit", "open", "--from", "/nowhere", "--to", "x", "--key", "/nowhere"], ["tree", "--http", "x"],
     ["simulate", "--broker", "x"], ["simulate", "--username", "u", "--password-file", "/nowhere"],
     ["check", "--config", "a\0b"], ["demo", "--http", "1"], ["restore", "--from", "/nowhere"],
     ["demo", "--data", "/dev/null/x"], ["run", "--config", "/dev/null"]],
    ids=" ".join,
)  # fmt: skip
def test_a_mistake_is_a_line(tmp_path, arguments):
    if any("\0" in argument for argument in arguments):
        # No shell can pass it on.
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code in {2, 78}
        return
    done = run(*arguments, capture_output=True, cwd=tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode not in {0, 1} or b"godkaiser" in done.stderr


def test_what_a_device_sends_does_not_write_on_the_terminal():
    assert printable_line("a\x1b[2J\nb") == "a\\x1b[2J\\x0ab"
