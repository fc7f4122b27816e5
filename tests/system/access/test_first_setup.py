"""The first administrator: made on the gateway itself, or by who has the token that it printed."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.provision.servers import free_port
from tests.system.process import GatewayProcess
from tests.system.site import PASSWORD
from tests.waiting import eventually

PERSON = {"username": "admin", "password": PASSWORD}


def printed_token(gateway):
    pattern = re.compile(r'"setup_token": "([^"]+)"')
    return eventually(lambda: pattern.search(gateway.log.read_text())).group(1)


def test_the_first_administrator_is_made_here_or_with_the_printed_token(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    token = printed_token(gateway)
    refused: list[bool] = []

    def attempt(body, **headers):
        status, answer = gateway.client.call("POST", "/auth/setup", body, headers=headers)
        refused.append(answer.get("error", {}).get("code") == "SETUP_NEEDS_TOKEN")
        return status, answer.get("error", {}).get("code"), answer

    try:
        elsewhere = (
            {"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "203.0.113.9"}, {"Via": "1.1 proxy"},
            {"Forwarded": "for=203.0.113.9"}, {"Host": "evil.example"}, {"Host": "10.0.0.1:8000"},
        )  # fmt: skip
        for headers in elsewhere[:4]:
            status, code, answer = attempt(PERSON, **headers)
            assert (status, code) == (403, "SETUP_NEEDS_TOKEN")
            assert "journalctl" in answer["error"]["message"]
        # Who guesses has to wait.
        eventually(lambda: attempt({**PERSON, "setup_token": "guess"})[1] == "RATE_LIMITED")
        assert int(gateway.client.last_headers["Retry-After"]) >= 1
        gateway.stop()
        gateway.log.write_text("")
        gateway.start()
        fresh = printed_token(gateway)
        assert fresh != token
        assert attempt({**PERSON, "setup_token": token})[0] == 403
        for headers in elsewhere[4:]:
            assert attempt(PERSON, **headers)[:2] == (403, "SETUP_NEEDS_TOKEN")
        status, _, answer = attempt({**PERSON, "setup_token": fresh}, **elsewhere[0])
        assert status == 201
        assert attempt({**PERSON, "setup_token": fresh})[:2] == (403, "SETUP_CLOSED")
        gateway.client.token = answer["access_token"]

        def told():
            entries = gateway.client.get("/audit/log")["data"]
            return [e["result"] for e in entries if e["what"].startswith("first admin")]

        eventually(lambda: told() == ["ok", *["refused"] * sum(refused)])
        key_file = tmp_path / "var" / "jwt.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        gateway.stop()
        gateway.log.write_text("")
        gateway.start()
        gateway.stop()
        assert "listens on" in gateway.log.read_text()
        assert "setup_token" not in gateway.log.read_text()
    finally:
        gateway.stop()


RELAY = """
import os, socket, sys, threading
"x".encode("idna")
os.setuid(int(sys.argv[3]))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    client, _ = listener.accept()
    gateway = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    def pipe(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    for pair in ((client, gateway), (gateway, client)):
        threading.Thread(target=pipe, args=pair, daemon=True).start()
"""
WWW_DATA = 33


@contextmanager
def bare_proxy(port, account=None):
    """Passes on what it gets, and adds nothing; under an account of a service, as web servers run."""
    own = free_port()
    chosen = os.getuid() if account is None else account
    command = [sys.executable, "-c", RELAY, str(own), str(port), str(chosen)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield own
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def setup_over(port, host, version="HTTP/1.1"):
    """The status and the error code; by a socket, as a proxy says it."""
    body = json.dumps(PERSON)
    request = (
        f"POST /api/v1/auth/setup {version}\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(request.encode())
        answer = b""
        while data := link.recv(65536):
            answer += data
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content).get("error", {}).get("code")


NEEDS_TOKEN = (403, "SETUP_NEEDS_TOKEN")


def test_what_comes_through_a_bare_reverse_proxy_needs_the_token(tmp_path, own_mosquitto):
    """It adds no header, and names the gateway as its host: the peer is a program on this machine."""
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        local = f"127.0.0.1:{gateway.port}"
        # nginx, as it comes, speaks HTTP/1.0 to what is behind it.
        assert setup_over(gateway.port, local, "HTTP/1.0") == NEEDS_TOKEN
        if os.getuid() == 0 and Path("/proc/net/tcp").exists():
            with bare_proxy(gateway.port, WWW_DATA) as port:
                assert setup_over(port, local) == NEEDS_TOKEN
        with bare_proxy(gateway.port) as port:
            assert setup_over(port, "plant.example") == NEEDS_TOKEN
        assert setup_over(gateway.port, local)[0] == 201
    finally:
        gateway.stop()


def test_what_is_a_trusted_proxy_is_never_local(tmp_path, own_mosquitto):
    folder = tmp_path / "site"
    folder.mkdir()
    gateway = GatewayProcess(folder, own_mosquitto.port)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[http]\n", '[http]\ntrusted_proxy = "127.0.0.1"\n'))
    gateway.start()
    try:
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": "nonsense"}):
            status, answer = gateway.client.call("POST", "/auth/setup", PERSON, headers=headers)
            assert (status, answer["error"]["code"]) == NEEDS_TOKEN
    finally:
        gateway.stop()


def test_on_the_gateway_itself_it_needs_no_token(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        for headers in (
            {"X-Forwarded-Proto": "https"}, {"CF-Ray": "1"}, {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):  # fmt: skip
            status, answer = gateway.client.call("POST", "/auth/setup", PERSON, headers=headers)
            assert (status, answer["error"]["code"]) == NEEDS_TOKEN, headers
        gateway.client.post("/auth/setup", PERSON, 201)
    finally:
        gateway.stop()


def test_behind_a_trusted_proxy_on_this_machine_the_token_is_asked_for_with_the_true_reason(
    tmp_path, own_mosquitto
):
    """The proxy is trusted by its address alone, which a person at the box has, too."""
    gateway = GatewayProcess(tmp_path, own_mosquitto.port)
    text = gateway.config.read_text()
    gateway.config.write_text(text.replace("[http]\n", '[http]\ntrusted_proxy = "127.0.0.1"\n'))
    gateway.start()
    token = printed_token(gateway)
    try:
        # As often as a lock-out would take several times over: nothing was guessed.
        for _ in range(30):
            status, answer = gateway.client.call("POST", "/auth/setup", PERSON)
            assert (status, answer["error"]["code"]) == (403, "SETUP_NEEDS_TOKEN")
        message = answer["error"]["message"]
        assert "cannot be told apart from what the proxy passes on" in message
        assert '"setup_token"' in message and "journalctl" in message
        through = {"X-Forwarded-For": "203.0.113.9"}
        _, answer = gateway.client.call("POST", "/auth/setup", PERSON, headers=through)
        assert "came through a proxy" in answer["error"]["message"]
        status, _ = gateway.client.call("POST", "/auth/setup", {**PERSON, "setup_token": token})
        assert status == 201
    finally:
        gateway.stop()
