"""Takes a changed configuration into the running gateway: all that can be taken of it, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from godkaiser import paths
from godkaiser.actors.link.broker import UseAddress
from godkaiser.actors.registry.messages import TakeDeclared
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.config.changes import (
    ACCOUNT,
    Reloaded,
    changed_keys,
    fingerprint,
    with_live_keys,
)
from godkaiser.config.credentials import StopTokens, broker_address, stop_tokens
from godkaiser.config.mistakes import ConfigError
from godkaiser.config.outlets import outlets_of
from godkaiser.config.settings import LIVE, Config
from godkaiser.domain.declared import Declared
from godkaiser.domain.declared_warnings import warnings_of
from godkaiser.domain.entities import Issuer
from godkaiser.domain.rules.outlets import Outlets
from godkaiser.errors.base import GatewayOverloaded
from godkaiser.errors.process import ReloadRefused, StartupFailed, startup_failure
from godkaiser.host import logs
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.storage.audit.trail import entry_by
from godkaiser.supervision import ActorSystem, SupervisionError

TIMEOUT_S = 6.0

log = structlog.get_logger("godkaiser.gateway")


class Reloader:
    """Holds what the last reload has taken: `config`, the `address` of the broker, `stop_tokens`."""

    def __init__(
        self,
        config: Config,
        declared: Declared,
        read_again: Callable[[], tuple[Config, Declared]] | None,
    ) -> None:
        """`read_again` reads the files anew, and raises ConfigError; None: there are none.

        Raises:
            StartupFailed: a file of the configuration cannot be read.
        """
        self.config = config
        self.address = broker_address(config)
        self.stop_tokens = stop_tokens(config)
        self._declared = declared
        self._read_again = read_again
        self._one_at_a_time = threading.Lock()
        try:
            self._certificates = fingerprint(config)
        except OSError as error:
            raise startup_failure(f"{error.filename}: {error.strerror}.", error) from error

    def current_address(self) -> BrokerAddress:
        """With the password as it stands in its file now, where no restart is needed for that; with the
        last one while the file cannot be read. Safe from any thread.
        """
        address, config = self.address, self.config
        if config.broker_accounts.folder:
            return address
        try:
            return msgspec.structs.replace(address, password=broker_address(config).password)
        except StartupFailed as error:
            log.warning("password_not_read_again", reason=error.message)
            return address

    def reload(self, system: ActorSystem, issuer: Issuer) -> Reloaded:
        """Take what has changed in the files: declarations, log level, tokens, account and certificates for
        the broker. Safe from any thread.

        Raises:
            ReloadRefused: there is a mistake in the files; nothing has changed.
            GatewayError: the database is away, or the registrar does not answer.
        """
        if self._read_again is None:
            raise _refused(system, issuer, "The gateway runs without a configuration file.")
        with self._one_at_a_time:
            try:
                wanted, declared = self._read_again()
                certificates = fingerprint(wanted)
                tokens, address = stop_tokens(wanted), broker_address(wanted)
            except (ConfigError, StartupFailed, OSError) as error:
                raise _refused(system, issuer, str(error)) from error
            taken = _take_declared(system, issuer, declared)
            needs_restart = []
            if declared.stop_inputs != self._declared.stop_inputs:
                needs_restart.append("[[stop_inputs]] of devices.d")
            keeps_account = self._keeps_account(address)
            for section, key in changed_keys(self.config, wanted):
                if keeps_account and (section, key) in ACCOUNT:
                    continue
                (taken if (section, key) in LIVE else needs_restart).append(f"[{section}] {key}")
            self.config = with_live_keys(self.config, wanted)
            logs.set_up(self.config.log)
            if tokens != self.stop_tokens:
                self._use_tokens(tokens)
                taken.append("emergency tokens")
            if keeps_account:
                needs_restart.append("the gateway's own account with the broker")
            if self._use_address(system, address, certificates):
                taken.append("account and certificates for the broker")
            result = Reloaded(
                taken=tuple(taken),
                needs_restart=tuple(needs_restart),
                warnings=tell_warnings(declared, outlets_of(self.config)),
            )
            _tell(system, issuer, result)
            return result

    def _use_tokens(self, tokens: StopTokens) -> None:
        # In place: whoever holds them goes by the new ones.
        self.stop_tokens.device, self.stop_tokens.broadcast = tokens.device, tokens.broadcast

    def _keeps_account(self, address: BrokerAddress) -> bool:
        """A new account must be known to the broker first, and its password file is written by what
        started with the old one.
        """
        running = self.address
        is_new = (address.username, address.password) != (running.username, running.password)
        return is_new and bool(self.config.broker_accounts.folder)

    def _use_address(self, system: ActorSystem, address: BrokerAddress, certificates: str) -> bool:
        """Connect anew when something has changed; whether it has."""
        running = self.address
        address = msgspec.structs.replace(address, host=running.host, port=running.port)
        if self._keeps_account(address):
            address = msgspec.structs.replace(
                address, username=running.username, password=running.password
            )
        if (address, certificates) == (running, self._certificates):
            return False
        self.address, self._certificates = address, certificates
        system.handle(paths.BROKER).tell_urgent(UseAddress())
        return True


def tell_warnings(declared: Declared, outlets: Outlets) -> tuple[str, ...]:
    """Log what is doubtful in the files; a line for each."""
    found = tuple(warnings_of(declared, outlets))
    for where, text in found:
        log.warning("doubtful_declaration", where=where, what=text)
    return tuple(f"{where}: {text}" for where, text in found)


def _take_declared(system: ActorSystem, issuer: Issuer, declared: Declared) -> list[str]:
    try:
        taken: list[str] = system.handle(paths.REGISTRAR).ask(
            TakeDeclared(declared=declared, issuer=issuer), timeout_s=TIMEOUT_S
        )
    except StartupFailed as error:
        raise _refused(system, issuer, error.message) from error
    except SupervisionError as error:
        raise GatewayOverloaded(path=paths.REGISTRAR, timeout_s=TIMEOUT_S) from error
    return taken


def _refused(system: ActorSystem, issuer: Issuer, reason: str) -> ReloadRefused:
    log.error("reload_refused", by=str(issuer), reason=reason)
    _audit(system, issuer, "refused", reason)
    return ReloadRefused(reason=f"Nothing was changed. {reason}", problems=reason.splitlines())


def _tell(system: ActorSystem, issuer: Issuer, result: Reloaded) -> None:
    log.info("reloaded", by=str(issuer), taken=result.taken, needs_restart=result.needs_restart)
    details = f"taken: {'; '.join(result.taken) or 'nothing'}"
    if result.needs_restart:
        details += f". Needs a restart: {'; '.join(result.needs_restart)}"
    _audit(system, issuer, "ok", details)


def _audit(system: ActorSystem, issuer: Issuer, result: str, details: str) -> None:
    journal = system.find(paths.JOURNAL)
    if journal is not None:
        now = system.runtime.now()
        entry = entry_by(issuer, at=now, what="reload", result=result, details=details[:500])
        journal.offer(RecordAudit(entry=entry))
