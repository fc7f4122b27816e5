"""Which Pythons `make test-all` finds, with programs that are made up."""

from __future__ import annotations

import pytest

from tests.provision.pythons import at_hand


@pytest.fixture
def put(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def put(name, version, folder="bin"):
        """`version` None: it does not start."""
        program = tmp_path / folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{'exit 1' if version is None else f'echo {version}'}\n")
        program.chmod(0o755)
        return str(program)

    return put


def test_each_version_is_found_once_and_the_oldest_comes_first(put, tmp_path):
    usual = put("python3", "3.12")
    put("python3.12", "3.12")
    put("python3.9", "3.9")
    put("python3.14", None)
    put("python", "3.10", "pyenv/versions/3.10.13/bin")
    put("python", "3.11", "pyenv/versions/3.11.7/bin")
    newest = put("python", "3.11", "pyenv/versions/3.11.13/bin")
    put("python", "3.12", "pyenv/versions/3.12.1/bin")
    assert list(at_hand(tmp_path / "pyenv").items()) == [("3.11", newest), ("3.12", usual)]
