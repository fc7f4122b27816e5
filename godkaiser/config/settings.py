"""The table of all settings of God-Kaiser: section and key, type, default, meaning, expected value,
the environment variable that overrides it, and whether a reload applies it.

The loader, the texts about mistakes, `conf/godkaiser.toml` and `docs/configuration.md` are made
from it (`make reference` updates the last two).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from godkaiser.config import values
from godkaiser.config.database_url import HIGHEST_PORT, sqlite_url
from godkaiser.config.values import Rule, split_address

STOP_ACCOUNT = "godkaiser-estop"
"""The broker account that may publish the emergency stop and nothing else."""


class Setting(msgspec.Struct, frozen=True):
    """The description of one key. `environment` names the variable that overrides it; `shipped` is
    the value in the shipped file if it is not the default.
    """

    meaning: str
    rule: Rule
    environment: str = ""
    is_live: bool = False
    shipped: Any = None


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway itself."""

    kaiser_id: Annotated[
        str,
        Setting(
            "The name of this gateway in the topics of its devices: kaiser/<kaiser_id>/esp/...",
            values.GATEWAY_NAME,
        ),
    ] = "god"
    data_dir: Annotated[
        str,
        Setting(
            "The folder of the safety latch, the signing keys and the SQLite database. Back it up.",
            values.FOLDER,
            shipped="/var/lib/godkaiser",
        ),
    ] = "var"


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The REST API."""

    listen: Annotated[
        str,
        Setting(
            "The address of the API. Keep it on loopback and put a proxy with HTTPS in front of it.",
            values.LISTEN,
        ),
    ] = "127.0.0.1:8000"
    trusted_proxy: Annotated[
        str,
        Setting(
            "The address of that proxy. X-Forwarded-For is trusted only from this address; then login"
            " locks and audit entries use the address of the person instead of that of the proxy.",
            values.IP_ADDRESS,
        ),
    ] = ""
    requests_per_s: Annotated[
        int,
        Setting(
            "Requests a second for each person, key or address; bursts of twice as many are allowed."
            " Stops and /health have no limit.",
            values.integer(0, 1_000_000, "0: no limit"),
        ),
    ] = 200
    login_attempts: Annotated[
        int,
        Setting(
            "Wrong passwords of one person from one address before the first wait; each wait is twice the"
            " one before. One address, for all persons together, has four times as many.",
            values.integer(1, 1000),
        ),
    ] = 5
    login_lockout_s: Annotated[
        int,
        Setting(
            "The longest of these waits; four times as long for an address.",
            values.integer(1, 86_400, "seconds"),
        ),
    ] = 300
    cors_origins: Annotated[
        tuple[str, ...],
        Setting(
            'Other web pages that may use the API in a browser, such as ["https://panel.example"].',
            values.ORIGINS,
        ),
    ] = ()

    @property
    def host(self) -> str:
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        return split_address(self.listen)[1]


class LiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The live WebSocket (docs/live.md)."""

    listen: Annotated[
        str,
        Setting(
            'Its address; "" is the address of [http] at the next port, "off" disables it.',
            values.LISTEN_OR_OFF,
        ),
    ] = ""


class MqttConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The broker, and the gateway's account on it."""

    host: Annotated[str, Setting("The broker.", values.HOST, environment="MQTT_BROKER_HOST")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int,
        Setting("Its port; 8883 is usual with TLS.", values.PORT, environment="MQTT_BROKER_PORT"),
    ] = 1883
    username: Annotated[
        str, Setting("The account of the gateway; empty: none.", values.TEXT, is_live=True)
    ] = ""
    password_file: Annotated[
        str,
        Setting(
            "A file that only the gateway can read; its first line is the password.",
            values.PASSWORD_FILE,
            is_live=True,
        ),
    ] = ""
    stop_password_file: Annotated[
        str,
        Setting(
            f"The password of the account {STOP_ACCOUNT}, which may publish the stop and nothing else:"
            " `godkaiser estop` uses it, so let the group of people who may stop read the"
            " file (docs/operations.md). Empty: it uses the account above.",
            values.PASSWORD_FILE,
            is_live=True,
        ),
    ] = ""
    tls: Annotated[
        bool,
        Setting(
            "TLS 1.2 or newer.", values.TRUE_OR_FALSE, environment="MQTT_USE_TLS", is_live=True
        ),
    ] = False
    ca_cert: Annotated[
        str,
        Setting(
            "The trusted certificate authorities for the broker; empty: those of the system.",
            values.CERTIFICATES,
            environment="MQTT_CA_CERT_PATH",
            is_live=True,
        ),
    ] = ""
    client_cert: Annotated[
        str,
        Setting(
            "The gateway's own certificate (PEM), if the broker requires one; with client_key.",
            values.READABLE_FILE,
            environment="MQTT_CLIENT_CERT_PATH",
            is_live=True,
        ),
    ] = ""
    client_key: Annotated[
        str,
        Setting(
            "Its key (PEM), without a passphrase.",
            values.READABLE_FILE,
            environment="MQTT_CLIENT_KEY_PATH",
            is_live=True,
        ),
    ] = ""
    keepalive_s: Annotated[
        int,
        Setting(
            "A broker that is silent for longer than this counts as lost.",
            values.integer(5, 3600, "seconds"),
        ),
    ] = 30


class BrokerAccountsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Mosquitto's accounts and rights, kept in step with the devices (docs/operations.md)."""

    folder: Annotated[
        str,
        Setting(
            "The folder where the gateway writes passwd and acl; empty: off. Needs username and"
            " password_file of [mqtt].",
            values.FOLDER_OR_NONE,
        ),
    ] = ""
    pid_file: Annotated[
        str,
        Setting(
            "Mosquitto's pid_file, so that the gateway can signal it to read them again; empty:"
            " systemd/godkaiser-accounts.path does that.",
            values.PID_FILE,
        ),
    ] = ""


class DatabaseConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The database. Control works on while it is unavailable."""

    url: Annotated[
        str,
        Setting(
            "Empty: sqlite:///<data_dir>/godkaiser.db. Production: postgresql://USER:PASSWORD@HOST/NAME,"
            " which needs the extra [postgresql].",
            values.DATABASE_URL,
            environment="DATABASE_URL",
        ),
    ] = ""
    breaker_failures: Annotated[
        int,
        Setting(
            "After this many failures in a row, requests that need the database are answered 503 at once.",
            values.integer(1, 1000),
        ),
    ] = 5
    breaker_open_s: Annotated[
        int,
        Setting(
            "For this long; then one trial request is let through.",
            values.integer(1, 3600, "seconds"),
        ),
    ] = 60
    breaker_half_open_s: Annotated[
        int,
        Setting("The timeout of this trial request.", values.integer(1, 3600, "seconds")),
    ] = 30


class SpoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Readings and journal entries go to <data_dir>/spool while the database is unavailable."""

    max_bytes: Annotated[
        int,
        Setting(
            "Its maximum size. A reading takes about 100 bytes (docs/operations.md).",
            values.integer(2**20, 2**40, "bytes"),
        ),
    ] = 256 * 1024 * 1024
    when_full: Annotated[
        str,
        Setting(
            "When it is full. thin: the oldest readings of the series with most readings are dropped. hold:"
            " it takes no more, and new readings stay with the broker. Journal entries are never dropped.",
            values.one_of("thin", "hold"),
        ),
    ] = "thin"
    replay_per_s: Annotated[
        int,
        Setting(
            "Readings a second that are replayed into the database; the limit leaves time for live readings.",
            values.integer(100, 100_000, "readings"),
        ),
    ] = 2000


class RetentionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long data is kept."""

    readings_days: Annotated[int, Setting("Readings.", values.DAYS)] = 0
    minutes_days: Annotated[
        int, Setting("Rollups of a minute; they stay when the readings are deleted.", values.DAYS)
    ] = 0
    hours_days: Annotated[
        int, Setting("Rollups of an hour; they stay when the readings are deleted.", values.DAYS)
    ] = 0
    history_days: Annotated[
        int, Setting("The history of commands and of executions of rules.", values.DAYS)
    ] = 0
    audit_days: Annotated[int, Setting("The audit trail.", values.DAYS)] = 0
    dry_run: Annotated[
        bool,
        Setting(
            "true: only report what would be removed. Look at GET /api/v1/system/jobs, then set it to false.",
            values.TRUE_OR_FALSE,
        ),
    ] = True


class DevicesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The ESP32s."""

    approval: Annotated[
        str,
        Setting(
            "manual: a new device waits for the approval of an operator. auto: it is approved at once.",
            values.one_of("manual", "auto"),
        ),
    ] = "manual"
    offline_after_s: Annotated[
        int,
        Setting(
            "A device without a heartbeat for this long is offline (it sends one every 60 s).",
            values.integer(10, 86_400, "seconds"),
        ),
    ] = 180


class SafetyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Devices with emergency tokens (set_emergency_token) obey a stop or a clear only with the
    token.
    """

    device_token_file: Annotated[
        str,
        Setting(
            "A file with the token of stops to one device; empty: none is set.",
            values.TOKEN_FILE,
            is_live=True,
        ),
    ] = ""
    broadcast_token_file: Annotated[
        str,
        Setting(
            "A file with the token of the stop to all devices; empty: none is set.",
            values.TOKEN_FILE,
            is_live=True,
        ),
    ] = ""


class NotifyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server for notifications of rules. Webhooks and MQTT need nothing here."""

    smtp_host: Annotated[
        str, Setting("The mail server; empty: no e-mail is sent.", values.MAIL_SERVER)
    ] = ""
    smtp_port: Annotated[int, Setting("Its port.", values.PORT)] = 587
    smtp_user: Annotated[str, Setting("The account; empty: none.", values.TEXT)] = ""
    smtp_password_file: Annotated[
        str,
        Setting(
            "A file that only the gateway can read; its first line is the password.",
            values.PASSWORD_FILE,
        ),
    ] = ""
    smtp_from: Annotated[str, Setting("The sender.", values.MAIL_ADDRESS)] = "god-kaiser@localhost"
    smtp_starttls: Annotated[
        bool,
        Setting("Encrypt the connection (STARTTLS) before anything is sent.", values.TRUE_OR_FALSE),
    ] = True


class OutboundConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where webhooks and notifications may go."""

    allow: Annotated[
        tuple[str, ...],
        Setting(
            "Internal networks, addresses and host names that they may reach, like"
            ' ["192.168.1.0/24", "panel.local"]; without them, only the internet.',
            values.DESTINATIONS,
        ),
    ] = ()


class DebugConfig(msgspec.Struct, frozen=True, kw_only=True):
    """For development."""

    endpoints: Annotated[
        bool,
        Setting(
            "Open /debug (simulated devices) and /system/actors/crash, only for people, not for API keys; keep it off in"
            ""
            " production.",
            values.TRUE_OR_FALSE,
        ),
    ] = False


class LogConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The log, on standard error."""

    level: Annotated[
        str,
        Setting(
            "debug, info, warning or error: lines below this level are not written.",
            values.one_of("debug", "info", "warning", "error"),
            is_live=True,
        ),
    ] = "info"
    format: Annotated[
        str,
        Setting(
            "console: for people. json: one JSON object a line, for log collectors.",
            values.one_of("console", "json"),
            is_live=True,
        ),
    ] = "console"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    gateway: GatewayConfig = GatewayConfig()
    http: HttpConfig = HttpConfig()
    live: LiveConfig = LiveConfig()
    mqtt: MqttConfig = MqttConfig()
    broker_accounts: BrokerAccountsConfig = BrokerAccountsConfig()
    database: DatabaseConfig = DatabaseConfig()
    spool: SpoolConfig = SpoolConfig()
    retention: RetentionConfig = RetentionConfig()
    devices: DevicesConfig = DevicesConfig()
    safety: SafetyConfig = SafetyConfig()
    notify: NotifyConfig = NotifyConfig()
    outbound: OutboundConfig = OutboundConfig()
    debug: DebugConfig = DebugConfig()
    log: LogConfig = LogConfig()
    jwt_secret: Annotated[
        str,
        Setting(
            "The key that signs access tokens; unset: jwt.key in data_dir, created on the first start.",
            values.SIGNING_SECRET,
            environment="JWT_SECRET_KEY",
        ),
    ] = ""
    jwt_secret_previous: Annotated[
        str,
        Setting(
            "The key before the last rotation: it no longer signs, but its tokens are still accepted.",
            values.SIGNING_SECRET,
            environment="JWT_SECRET_KEY_PREVIOUS",
        ),
    ] = ""

    @property
    def live_address(self) -> tuple[str, int] | None:
        """Host and port of the live socket; None if it is off."""
        if self.live.listen == "off":
            return None
        if self.live.listen:
            return split_address(self.live.listen)
        # There is no port after the highest one; 0 means any port.
        port = self.http.port
        return self.http.host, port + 1 if 0 < port < HIGHEST_PORT else 0

    @property
    def data_dir(self) -> Path:
        return Path(self.gateway.data_dir)

    @property
    def spool_dir(self) -> Path:
        return self.data_dir / "spool"

    @property
    def database_url(self) -> str:
        return self.database.url or sqlite_url(self.data_dir / "godkaiser.db")


def _settings_in(kind: type[msgspec.Struct]) -> dict[str, Setting]:
    return {
        key: setting
        for key, hint in get_type_hints(kind, include_extras=True).items()
        for setting in getattr(hint, "__metadata__", ())
    }


SECTIONS: dict[str, type[msgspec.Struct]] = {
    name: kind for name, kind in get_type_hints(Config).items() if issubclass(kind, msgspec.Struct)
}
KEYS: dict[str, dict[str, Setting]] = {name: _settings_in(kind) for name, kind in SECTIONS.items()}
ENVIRONMENT: dict[str, tuple[str, str]] = {
    setting.environment: (section, key)
    for section, settings in KEYS.items()
    for key, setting in settings.items()
    if setting.environment
}
"""Each variable and the key that it overrides. An empty variable overrides nothing."""
SECRETS = {setting.environment: (field, setting) for field, setting in _settings_in(Config).items()}
"""Each variable without a key in the file, and the field of `Config` that it sets."""
LIVE = frozenset(
    (section, key)
    for section, settings in KEYS.items()
    for key, setting in settings.items()
    if setting.is_live
)
"""The keys that a reload applies while the gateway runs. The others need a restart."""
