"""The MQTT broker of the quick start: amqtt, in a process of its own.

A real broker without a system package. Production uses Mosquitto (conf/mosquitto.conf).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig

from godkaiser.errors import StartupFailed

READY_TIMEOUT_S = 15.0
POLL_S = 0.02


def serve(host: str, port: int, stop: threading.Event) -> None:
    """Serve anonymous clients on loopback until `stop` is set. Blocks."""
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    asyncio.run(_serve(host, port, stop))


async def _serve(host: str, port: int, stop: threading.Event) -> None:
    config = BrokerConfig.from_dict(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    broker = Broker(config)
    await broker.start()
    try:
        await asyncio.get_running_loop().run_in_executor(None, stop.wait)
    finally:
        await broker.shutdown()


def check_free(host: str, port: int) -> None:
    """Raises StartupFailed when something listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (
                f"the embedded broker cannot listen on {host}:{port}: {error.strerror}. Choose"
                " another address with --mqtt, or stop what listens there."
            )
            raise StartupFailed(reason=reason) from error


def await_listening(host: str, port: int, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Wait until somebody accepts connections there. Raises StartupFailed when nobody does."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                reason = f"the embedded broker did not come up on {host}:{port}: {error}"
                raise StartupFailed(reason=reason) from error
            threading.Event().wait(POLL_S)
        else:
            return
