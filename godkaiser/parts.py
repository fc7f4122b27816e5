"""The parts of which the tree of actors is made; `gateway.py` opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from godkaiser.actors.services.webhook_keeper import Audience
from godkaiser.config.credentials import StopTokens
from godkaiser.config.settings import Config
from godkaiser.domain.declared import Declared
from godkaiser.domain.signing_keys import SigningKey
from godkaiser.http.server import ApiServer
from godkaiser.live.server import LiveServer
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.ports import Ports
from godkaiser.storage.engine.database import Database
from godkaiser.storage.files.rule_notes import RuleNotes
from godkaiser.storage.spool.spool import Spool
from godkaiser.storage.stored_site import StoredSite


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts for the actors. `stored` is the content of the database at the start of the
    process: the devices and rules of control start from it, so that they need no database.
    `make_live_server` is None where the live socket is off.
    """

    config: Config
    declared: Declared
    stored: StoredSite
    database: Database
    spool: Spool
    notes: RuleNotes
    ports: Ports
    address: BrokerAddress
    current_address: Callable[[], BrokerAddress]
    """With the certificates of the last reload, and the password as its file has it now."""
    tokens: StopTokens
    make_server: Callable[[], ApiServer]
    make_live_server: Callable[[], LiveServer] | None
    webhook_audience: Audience
    given_signing_keys: tuple[SigningKey, ...] | None
    """From the environment; None: the key file holds them."""
