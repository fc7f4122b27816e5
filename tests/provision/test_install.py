"""Finding and installing what the tests need, with a machine that is made up of scripts."""

from __future__ import annotations

import os

import pytest

from tests import conftest
from tests.provision import install


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Puts programs on an otherwise empty PATH; what they were called with is in `log`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"
    log.touch()

    class Machine:
        @staticmethod
        def has(name, exit_code=0):
            program = folder / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\nexit {exit_code}\n')
            program.chmod(0o755)

        @staticmethod
        def calls():
            return log.read_text().splitlines()

    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(install.CI, raising=False)
    monkeypatch.setattr(install, "HIDDEN_FOLDERS", ())
    monkeypatch.setattr(install, "POSTGRESQL_FOLDERS", ())
    return Machine


def test_nothing_is_done_when_all_is_there(machine, capsys):
    for name in ("mosquitto", "postgres", "chromium", "apt-get"):
        machine.has(name)
    install.main()
    assert machine.calls() == []
    assert capsys.readouterr().out == ""


def test_what_is_missing_is_installed_by_the_systems_package_manager(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.has("postgres")
    machine.has("chromium")
    machine.has("apt-get")
    install.main()
    assert machine.calls() == ["apt-get update -qq", "apt-get install -y -qq mosquitto"]


def test_without_root_it_uses_sudo_only_when_that_asks_for_no_password(
    machine, monkeypatch, capsys
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.has("apt-get")
    machine.has("sudo", exit_code=1)
    install.main()
    assert machine.calls() == ["sudo -n true"]
    assert capsys.readouterr().out == (
        "Not installed: mosquitto, chromium, postgres. Install them; the tests run without.\n"
    )
    machine.has("sudo")
    install.main()
    assert "sudo -n apt-get install -y -qq mosquitto chromium postgresql" in machine.calls()


def test_an_unknown_system_is_told_in_one_line_what_to_install(machine, capsys):
    machine.has("mosquitto")
    install.main()
    assert capsys.readouterr().out == (
        "Not installed: chromium, postgres. Install them; the tests run without.\n"
    )


def test_a_package_manager_that_fails_stops_nothing(machine, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.has("apt-get", exit_code=100)
    install.main()
    assert "apt-get update -qq failed (100); the tests run without." in capsys.readouterr().out


def test_a_service_that_ran_before_is_left_running(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.has("postgres")
    machine.has("apt-get")
    machine.has("systemctl")
    install.main()
    assert not any("disable" in call for call in machine.calls())


def test_in_continuous_integration_nothing_may_be_left_out(machine, monkeypatch, capsys):
    machine.has("mosquitto")
    assert install.main() == 0
    monkeypatch.setenv(install.CI, "true")
    assert install.main() == 1
    assert "postgres cannot be had, and CI is set" in capsys.readouterr().out
    machine.has("postgres")
    machine.has("chromium")
    assert install.main() == 0


def test_a_test_without_its_server_fails_there_and_is_left_out_elsewhere(machine, monkeypatch):
    with pytest.raises(pytest.skip.Exception):
        conftest.need("mosquitto")
    conftest.LEFT_OUT.clear()
    monkeypatch.setenv(install.CI, "true")
    with pytest.raises(pytest.fail.Exception, match="mosquitto is not installed"):
        conftest.need("mosquitto")
