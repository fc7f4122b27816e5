"""Real servers in temporary folders, on free ports of loopback, stopped at the end."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg2

from tests.provision.install import find

START_TIMEOUT_S = 30.0
LISTENED = range(10_000, 30_000)
CONF = Path(__file__).parents[2] / "conf" / "mosquitto.conf"
REPLACED = (
    "listener",
    "persistence_location",
    "allow_anonymous",
    "password_file",
    "acl_file",
    "autosave",
)


def free_port() -> int:
    """Below those that the kernel gives to connections: one of these may take it before the server does."""
    while True:
        port = random.SystemRandom().choice(LISTENED)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def await_port(port: int, process: subprocess.Popen | None = None) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                raise
            time.sleep(0.01)
        else:
            return


class Mosquitto:
    """conf/mosquitto.conf as it is shipped, but for the port, the folder and the accounts."""

    host = "127.0.0.1"

    def __init__(
        self,
        folder: Path,
        *,
        save_every_change: bool = False,
        default_window: bool = False,
        accounts: Sequence[str] = (),
    ) -> None:
        """With `save_every_change` a kill loses nothing that was acknowledged (and it is slow).
        `default_window`: windows and queues of Mosquitto's own, as where nobody has set them.
        `accounts` are lines of the configuration in place of `allow_anonymous true`.
        """
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen | None = None
        left_out = (*REPLACED, "max_") if default_window else REPLACED
        lines = [
            line for line in CONF.read_text().splitlines() if not line.strip().startswith(left_out)
        ]
        lines += [
            f"listener {self.port} 127.0.0.1",
            f"persistence_location {folder}/",
            *(accounts or ("allow_anonymous true",)),
        ]
        if save_every_change:
            lines += ["autosave_interval 1", "autosave_on_changes true"]
        if os.geteuid() == 0:
            lines.append("user root")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [find("mosquitto"), "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await_port(self.port, self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """It stands still, as on a machine that has no time for it; its sockets stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()


class PostgreSQL:
    """A cluster of its own; `create_database` gives a URL of an empty database."""

    def __init__(self, *, durable: bool = False) -> None:
        """Only a `durable` one outlives a power cut; the others are quicker."""
        # Not below pytest's own folder: each run of pytest closes that to other users, and
        # PostgreSQL is one.
        folder = Path(tempfile.mkdtemp(prefix="godkaiser-postgresql-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._fsync = "on" if durable else "off"
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen | None = None
        # PostgreSQL refuses to run as root.
        self._as_user = "postgres" if os.geteuid() == 0 else None
        if self._as_user is not None:
            account = pwd.getpwnam(self._as_user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._run(find("initdb"), "-D", str(folder / "data"), "-U", "test", "-A", "trust",
                  "--no-sync", "-E", "UTF8")  # fmt: skip

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, user=self._as_user, cwd=self._folder, check=True, capture_output=True
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [find("postgres"), "-D", str(self._folder / "data"), "-p", str(self.port),
             "-h", "127.0.0.1", "-k", str(self._folder),
             "-c", "max_connections=200", "-c", f"fsync={self._fsync}"],
            user=self._as_user, cwd=self._folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def _await_ready(self) -> None:
        await_port(self.port, self._process)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg2.connect(self._url("postgres")).close()
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            # SIGINT: end the sessions and stop.
            self._process.send_signal(2)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """It and its sessions stand still, and their connections stay open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        assert self._process is not None
        pid = self._process.pid
        # The server first: it makes no session any more.
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def create_database(self) -> str:
        name = f"t{uuid.uuid4().hex}"
        connection = psycopg2.connect(self._url("postgres"))
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        connection.close()
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://test@127.0.0.1:{self.port}/{name}"
