"""Where notifications may leave the gateway, by its configuration."""

from __future__ import annotations

from godkaiser.config.settings import Config
from godkaiser.domain.addresses import Destinations
from godkaiser.domain.rules.outlets import Outlets


def outlets_of(config: Config) -> Outlets:
    return Outlets(
        destinations=Destinations(config.outbound.allow),
        sends_mail=bool(config.notify.smtp_host),
    )
