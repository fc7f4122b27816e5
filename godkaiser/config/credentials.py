"""Reads the secrets that the configuration keeps in files: the broker account and the emergency
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from godkaiser.config.secret_file import first_line
from godkaiser.config.settings import Config
from godkaiser.errors.process import StartupFailed, startup_failure
from godkaiser.mqtt.broker_address import BrokerAddress


@dataclass(slots=True)
class StopTokens:
    """The tokens of devices that have one set (contract, 11.6); empty: none is set.

    Not frozen: an administrator may replace the tokens while the gateway runs, and a restarted
    safety actor must not use the old ones.
    """

    device: str = ""
    broadcast: str = ""


def stop_tokens(config: Config) -> StopTokens:
    """Raises StartupFailed when a token file cannot be read."""
    return StopTokens(
        _secret(config.safety.device_token_file, "[safety] device_token_file"),
        _secret(config.safety.broadcast_token_file, "[safety] broadcast_token_file"),
    )


def broker_address(config: Config) -> BrokerAddress:
    """Raises StartupFailed when the password file cannot be read."""
    mqtt = config.mqtt
    return BrokerAddress(
        host=mqtt.host,
        port=mqtt.port,
        username=mqtt.username,
        password=_secret(mqtt.password_file, "[mqtt] password_file"),
        tls=mqtt.tls,
        ca_cert=mqtt.ca_cert,
        client_cert=mqtt.client_cert,
        client_key=mqtt.client_key,
        keepalive_s=mqtt.keepalive_s,
    )


def _secret(file: str, key: str) -> str:
    """The first line of a file that `config` has looked into already."""
    if not file:
        return ""
    try:
        return first_line(Path(file))
    except OSError as error:
        raise startup_failure(f"{key} {file}: {error.strerror}.", error) from error
    except ValueError as error:
        raise StartupFailed(reason=f"{key} {file}: {error}.") from error
