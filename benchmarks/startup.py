"""From the start command to healthy, with everything installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks._parts import GatewayProcess, broker
from benchmarks.table import Row, median
from tests.provision.servers import free_port


def run(*, quick: bool) -> list[Row]:
    rounds = 2 if quick else 5
    demo = [_demo() for _ in range(rounds)]
    with broker() as server:
        bare = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                gateway = GatewayProcess(Path(folder), server.port)
                gateway.start()
                bare.append(gateway.started_s)
                gateway.stop()
    return [
        Row(
            what="godkaiser demo, start to healthy",
            ours=median(demo),
            unit="s",
            target="< 2 s",
            reached=median(demo) < 2.0,
        ),
        Row(what="godkaiser run, start to healthy", ours=median(bare), unit="s"),
    ]


def _demo() -> float:
    with tempfile.TemporaryDirectory() as folder:
        http = free_port()
        began = time.perf_counter()
        process = subprocess.Popen(
            [
                sys.executable, "-m", "godkaiser", "demo",
                "--http", f"127.0.0.1:{http}",
                "--mqtt", f"127.0.0.1:{free_port()}",
                "--data", folder,
            ],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "GODKAISER_ADMIN_PASSWORD": "benchmark-only"},
        )  # fmt: skip
        while True:
            try:
                url = f"http://127.0.0.1:{http}/api/v1/health"
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if b'"healthy"' in answer.read():
                        break
            except OSError:
                pass
            time.sleep(0.005)
        taken = time.perf_counter() - began
        process.send_signal(signal.SIGINT)
        process.wait(30)
        return taken
