"""Find Mosquitto, PostgreSQL and Chromium, or install them with the system's package manager if that is
allowed. What cannot be had is said in one line, and the tests that need it are counted as left out; in
continuous integration (CI is set) that is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HIDDEN_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
POSTGRESQL_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt")
PACKAGES = {
    "mosquitto": {"apt-get": "mosquitto", "dnf": "mosquitto", "pacman": "mosquitto",
                  "brew": "mosquitto"},
    "chromium": {"apt-get": "chromium", "dnf": "chromium", "pacman": "chromium", "brew": "chromium"},
    "postgres": {"apt-get": "postgresql", "dnf": "postgresql-server", "pacman": "postgresql",
                 "brew": "postgresql"},
}  # fmt: skip

NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome")}
"""Where distributions call it differently."""
CI = "CI"
"""The variable that GitHub, GitLab and others set, and `.ci/run`: then nothing may be left out."""
SERVICES = {"mosquitto": "mosquitto", "postgres": "postgresql"}


def find(program: str) -> str | None:
    """The path of `mosquitto`, `postgres`, `initdb` ..., also where distributions hide them."""
    wanted = next(filter(None, map(shutil.which, NAMES.get(program, (program,)))), None)
    if wanted is None:
        for folder in HIDDEN_FOLDERS:
            candidate = Path(folder) / program
            if candidate.exists():
                return str(candidate)
    # A wrapper on PATH may lack its siblings; the versioned folder has them all.
    if program in {"postgres", "initdb", "pg_ctl"}:
        for folder in POSTGRESQL_FOLDERS:
            found = sorted(Path(folder).glob(f"*/bin/{program}"))
            if found:
                return str(found[-1])
    return wanted


def main() -> int:
    """The exit code: 1 where all must be had and is not."""
    _install()
    still_missing = [program for program in PACKAGES if find(program) is None]
    if still_missing and os.environ.get(CI):
        print(
            f"{', '.join(still_missing)} cannot be had, and {CI} is set: nothing may be left out."
        )
        return 1
    return 0


def _install() -> None:
    missing = [program for program in PACKAGES if find(program) is None]
    if not missing:
        return
    manager = next((m for m in ("apt-get", "dnf", "pacman", "brew") if shutil.which(m)), None)
    prefix = _prefix(manager)
    if manager is None or prefix is None:
        print(f"Not installed: {', '.join(missing)}. Install them; the tests run without.")
        return
    names = [PACKAGES[program][manager] for program in missing]
    services = [SERVICES[program] for program in missing if program in SERVICES]
    idle = [service for service in services if not _is_active(service)]
    print(f"Installing {', '.join(names)} for the tests ...", flush=True)
    commands = {
        "apt-get": [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *names]],
        "dnf": [["dnf", "install", "-y", "-q", *names]],
        "pacman": [["pacman", "-Sy", "--noconfirm", *names]],
        "brew": [["brew", "install", *names]],
    }[manager]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in commands:
        done = subprocess.run(
            [*prefix, *command], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            print(f"{' '.join(command)} failed ({done.returncode}); the tests run without.")
            return
    _stop(idle, prefix)


def _is_active(service: str) -> bool:
    if not shutil.which("systemctl"):
        return False
    asked = subprocess.run(
        ["systemctl", "is-active", "--quiet", service], check=False, capture_output=True
    )
    return asked.returncode == 0


def _stop(services: list[str], prefix: list[str]) -> None:
    """Distributions start what they install, on the port where `make run` wants to listen."""
    for service in filter(_is_active, services):
        subprocess.run(
            [*prefix, "systemctl", "disable", "--now", service], check=False, capture_output=True
        )


def _prefix(manager: str | None) -> list[str] | None:
    """What to put before the command so that it may install; None when it may not."""
    if manager == "brew" or os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and not subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode
    ):
        return ["sudo", "-n"]
    return None


if __name__ == "__main__":
    sys.exit(main())
