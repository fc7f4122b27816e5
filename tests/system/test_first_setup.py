"""The first administrator: made on the gateway itself, or by who has the token that it printed."""

from __future__ import annotations

import re
import stat

from tests.system.process import GatewayProcess
from tests.system.site import PASSWORD, eventually

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


def test_on_the_gateway_itself_it_needs_no_token(tmp_path, own_mosquitto):
    gateway = GatewayProcess(tmp_path, own_mosquitto.port).start()
    try:
        gateway.client.post("/auth/setup", PERSON, 201)
    finally:
        gateway.stop()
