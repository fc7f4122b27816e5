"""A gateway in a process of its own, as systemd starts it: to be killed the hard way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.provision.servers import free_port
from tests.system.site import PASSWORD, Client
from tests.waiting import eventually


class GatewayProcess:
    def __init__(
        self, folder: Path, broker_port: int, database_url: str = "", more: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "godkaiser.toml"
        self.config.write_text(
            f'[gateway]\ndata_dir = "{folder / "var"}"\n'
            f'[http]\nlisten = "127.0.0.1:{self.port}"\n'
            '[live]\nlisten = "127.0.0.1:0"\n[debug]\nendpoints = true\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker_port}\n'
            + (f'[database]\nurl = "{database_url}"\n' if database_url else "")
            + more
        )
        self.log = folder / "gateway.log"
        self._process: subprocess.Popen | None = None
        self.client: Client

    def start(self) -> GatewayProcess:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "godkaiser", "run", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "GODKAISER_ADMIN_PASSWORD": PASSWORD},
            )
        self.client = Client(self.port)
        eventually(self._answers, 30.0)
        return self

    def _answers(self) -> Any:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            status, body = self.client.call("GET", "/health")
        except OSError:
            self.client.close()
            return None
        return status == 200 and body["status"] == "healthy"

    def log_in(self) -> None:
        self.client.call("POST", "/auth/setup", {"username": "admin", "password": PASSWORD})
        answer = self.client.post("/auth/login", {"username": "admin", "password": PASSWORD}, 200)
        self.client.token = answer["access_token"]

    def run_to_its_end(self, timeout_s: float = 60.0) -> tuple[int, str]:
        """The exit code of one that refuses to start, and what it said."""
        ended = subprocess.run(
            [sys.executable, "-m", "godkaiser", "run", "--config", str(self.config)],
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout + ended.stderr

    def kill(self) -> None:
        """kill -9."""
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> int:
        self.client.close()
        if self._process is None:
            return 0
        self._process.terminate()
        code = self._process.wait(40)
        self._process = None
        return code
