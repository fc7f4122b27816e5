"""A site under test: real broker, real gateway, real HTTP, simulated devices over real MQTT."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from godkaiser.config.settings import (
    BrokerAccountsConfig,
    Config,
    DatabaseConfig,
    DebugConfig,
    DevicesConfig,
    GatewayConfig,
    HttpConfig,
    MqttConfig,
    OutboundConfig,
)
from godkaiser.demo.demo import seed
from godkaiser.gateway import Gateway
from godkaiser.http.access.tokens import TokenService
from godkaiser.simulator.fleet import Fleet
from tests.system.contract import endpoint_of, mistakes_of
from tests.waiting import eventually

PASSWORD = "correct horse battery"


class Client:
    """One keep-alive connection to the API, with a token once logged in."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.answered: set[tuple[tuple[str, str], int]] = set()
        """The endpoints that were called, each with a status that it answered."""
        self.token = ""

    def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None,
        headers: dict[str, str] | None = None, token: str | None = None,
    ) -> tuple[int, Any]:  # fmt: skip
        sent = {"Content-Type": "application/json", **(headers or {})}
        chosen = self.token if token is None else token
        if chosen:
            sent["Authorization"] = f"Bearer {chosen}"
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        self._connection.request(method, f"/api/v1{path}", body=data, headers=sent)
        response = self._connection.getresponse()
        content = response.read()
        self.last_headers = dict(response.getheaders())
        media = response.headers.get_content_type()
        found = content.decode() if content and media != "application/json" else None
        if content and found is None:
            found = json.loads(content)
        endpoint = endpoint_of(method, path)
        if endpoint is not None:
            self.answered.add((endpoint.key, response.status))
            mistakes = mistakes_of(endpoint, response.status, media, found)
            assert not mistakes, (endpoint.key, mistakes[:3], found)
        return response.status, found

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def post(self, path: str, body: Any = None, expect: int | None = None) -> Any:
        status, answer = self.call("POST", path, {} if body is None else body)
        if expect is not None:
            assert status == expect, (status, answer)
        return answer

    def close(self) -> None:
        self._connection.close()


class Site:
    """`stop_gateway` and `start_gateway` restart it on the same data."""

    def __init__(self, folder: Path, broker: Any, *, database_url: str = "",
                 devices: int = 0, interval_s: int = 1, approval: str = "manual",
                 requests_per_s: int = 0, trusted_proxy: str = "", mqtt: MqttConfig | None = None,
                 broker_accounts: BrokerAccountsConfig | None = None,
                 cors_origins: tuple[str, ...] = (), login_attempts: int = 5,
                 login_lockout_s: int = 300, listen: str = "127.0.0.1:0",
                 debug: bool = True, allow: tuple[str, ...] = ("127.0.0.0/8",)) -> None:  # fmt: skip
        self.config = Config(
            gateway=GatewayConfig(data_dir=str(folder / "var")),
            http=HttpConfig(
                listen=listen,
                requests_per_s=requests_per_s,
                trusted_proxy=trusted_proxy,
                cors_origins=cors_origins,
                login_attempts=login_attempts,
                login_lockout_s=login_lockout_s,
            ),
            mqtt=mqtt or MqttConfig(host=broker.host, port=broker.port),
            broker_accounts=broker_accounts or BrokerAccountsConfig(),
            database=DatabaseConfig(url=database_url),
            devices=DevicesConfig(approval=approval),
            debug=DebugConfig(endpoints=debug),
            outbound=OutboundConfig(allow=allow),
        )
        self.broker = broker
        self._seeded = devices
        self._interval_s = interval_s
        self.gateway: Gateway
        self.client: Client
        self.fleet: Fleet | None = None
        self.start_gateway()

    def start_gateway(self) -> None:
        self.gateway = Gateway(self.config)
        # Cheap hashes: the strength of bcrypt is not what these tests are about.
        self.gateway.tokens = TokenService(
            self.gateway.desk, self.config.gateway.kaiser_id, bcrypt_rounds=4
        )
        now = self.gateway.system.runtime.now()
        seed(self.gateway.database, self._seeded, self._interval_s, now)
        self.gateway.start()
        self.gateway.tokens.create_first_user("admin", PASSWORD, now)
        self.client = Client(self.gateway.http_port)
        answer = self.client.post("/auth/login", {"username": "admin", "password": PASSWORD}, 200)
        self.client.token = answer["access_token"]

    def stop_gateway(self) -> None:
        self.client.close()
        assert self.gateway.stop()

    def start_fleet(self, devices: int | None = None, interval_s: float | None = None) -> Fleet:
        self.fleet = Fleet(
            self.broker.host, self.broker.port, self._seeded if devices is None else devices,
            interval_s=interval_s,
        )  # fmt: skip
        self.fleet.start()
        return self.fleet

    def wait_in_sync(self) -> None:
        """Every device online, configured, and every actuator's state known."""

        def settled() -> bool:
            devices = self.client.get("/esp/devices")["data"]
            actuators = self.client.get("/actuators")["data"]
            self.last_seen = (devices, actuators)
            return all(d["online"] and d["config_sync"] == "in_sync" for d in devices) and all(
                a["reported_value"] is not None for a in actuators
            )

        try:
            eventually(settled, 30.0)
        except AssertionError:
            raise AssertionError(f"not in sync: {self.last_seen}") from None

    def firmware(self, device_id: str) -> Any:
        assert self.fleet is not None
        return self.fleet.device(device_id).firmware

    def actuator(self, device_id: str, gpio: int) -> dict[str, Any]:
        found = self.client.get(f"/actuators?esp_id={device_id}")["data"]
        return next(a for a in found if a["gpio"] == gpio)

    def disable_rules(self) -> None:
        for rule in self.client.get("/logic/rules")["data"]:
            body = {k: v for k, v in rule.items() if k not in {"id", "state"}}
            status, answer = self.client.call(
                "PUT", f"/logic/rules/{rule['id']}", {**body, "enabled": False}
            )
            assert status == 200, answer

    def close(self) -> None:
        self.stop_gateway()
        if self.fleet is not None:
            self.fleet.stop()
