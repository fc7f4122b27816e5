"""The composition root: opens what the actors are made of, starts the tree, stops it in order."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext

import structlog

from godkaiser import __version__, paths
from godkaiser.actors.safety.messages import ActuatorView, PrepareShutdown
from godkaiser.actors.storage.journal import RecordAudit
from godkaiser.config.changes import Reloaded
from godkaiser.config.outlets import outlets_of
from godkaiser.config.settings import Config
from godkaiser.domain.declared import NOTHING, Declared
from godkaiser.domain.entities import Issuer, OnShutdown
from godkaiser.errors.base import GatewayError
from godkaiser.errors.process import PassingCondition, StartupFailed
from godkaiser.host import logs
from godkaiser.host.data_folder import open_data_folder
from godkaiser.host.log_lines import LogLines
from godkaiser.host.reloader import Reloader, tell_warnings
from godkaiser.http.access.desk import AccessDesk
from godkaiser.http.access.gate import Gate
from godkaiser.http.access.idempotency import Idempotency
from godkaiser.http.access.lockout import Lockout
from godkaiser.http.access.rate_limit import RateLimit
from godkaiser.http.access.tokens import TokenService
from godkaiser.http.app import create_app
from godkaiser.http.endpoints import EVENTS
from godkaiser.http.server import ApiServer, bind
from godkaiser.http.services import Services
from godkaiser.live.door import LiveDoor
from godkaiser.live.hub import LiveHub
from godkaiser.live.server import LiveServer
from godkaiser.live.webhooks import audience
from godkaiser.mqtt.connection import Inbound
from godkaiser.mqtt.ports import open_ports
from godkaiser.parts import Parts
from godkaiser.storage.audit.trail import AuditEntry
from godkaiser.storage.engine.upgrade import Busy
from godkaiser.storage.files.rule_notes import RuleNotes
from godkaiser.storage.files.signing_key_file import KEY_FILE, open_signing_keys
from godkaiser.storage.stored_site import read_stored_site
from godkaiser.storage.stores import open_stores
from godkaiser.supervision import (
    ActorSystem,
    DeadLetter,
    LifeEvent,
    LifeStep,
    Reason,
    SupervisionError,
    ThreadedRuntime,
)
from godkaiser.tree import tree_of

SHUTDOWN_GRACE_S = 2.0
SERVICES_GRACE_S = 10.0
"""How long a start waits for the services; without them control runs all the same."""

log = structlog.get_logger("godkaiser.gateway")
NOTEWORTHY = frozenset({LifeStep.CRASHED, LifeStep.GAVE_UP, LifeStep.STUCK, LifeStep.STALLED})


class Gateway:
    """One gateway in this process. `start` returns when it is ready, `stop` when all has ended."""

    def __init__(
        self,
        config: Config,
        declared: Declared = NOTHING,
        read_again: Callable[[], tuple[Config, Declared]] | None = None,
        busy: Busy = lambda _what: nullcontext(),
    ) -> None:
        """Open what can fail for reasons that an admin can mend. `declared` is from the site files;
        `read_again` reads both anew for `reload`, and raises ConfigError. `busy` is entered for what may
        take minutes.

        Raises:
            StartupFailed: the text says what to change.
        """
        tell_warnings(declared, outlets_of(config))
        self._lock = open_data_folder(config)
        try:
            self.database, self.spool = open_stores(config, declared, busy)
        except GatewayError:
            self._lock.release()
            raise
        try:
            stored = read_stored_site(self.database)
            signing_keys = open_signing_keys(
                config.jwt_secret, config.jwt_secret_previous, config.data_dir / KEY_FILE
            )
            self._listener = bind(config.http.host, config.http.port)
            self._live_listener = _bind_live(config, self._listener)
            self._reloader = Reloader(config, declared, read_again)
        except StartupFailed:
            self.spool.close()
            self.database.close_thread()
            self._lock.release()
            raise
        self.ports = open_ports(config.gateway.kaiser_id)
        self.http_port: int = self._listener.getsockname()[1]
        self.live_port: int | None = (
            None if self._live_listener is None else self._live_listener.getsockname()[1]
        )
        self._stored_newest = stored.newest
        self._lockout = Lockout(config.http.login_attempts, float(config.http.login_lockout_s))
        self._notes = RuleNotes(config.data_dir / "rules.notes", config.data_dir / "rules.doses")
        self._started_at = time.time()
        self.live = LiveHub(f"{self._started_at:.0f}", time.time)
        self._live_door = LiveDoor()
        self.system = ActorSystem(
            tree_of(
                Parts(
                    config=config,
                    declared=declared,
                    stored=stored,
                    database=self.database,
                    spool=self.spool,
                    notes=self._notes,
                    ports=self.ports,
                    address=self._reloader.address,
                    current_address=self._reloader.current_address,
                    tokens=self._reloader.stop_tokens,
                    make_server=self._make_server,
                    make_live_server=self._make_live_server if self._live_listener else None,
                    webhook_audience=audience(self.live),
                    given_signing_keys=signing_keys if config.jwt_secret else None,
                )
            ),
            ThreadedRuntime(),
        )
        self.desk = AccessDesk(self.system, stored.access, signing_keys)
        self.tokens = TokenService(self.desk, config.gateway.kaiser_id)
        self._gate = Gate(
            lambda: self.tokens,
            self._lockout,
            self.system.runtime.now,
            self.system.runtime.monotonic,
            self._tell_forgery,
            EVENTS,
        )
        self.system.dead_letters.subscribe(self._acknowledge_dead_letter)
        self.system.events.subscribe(self._keep_life_event)
        self.system.on_publication(LogLines(self._started_at).note)
        logs.follow(self.system.at_work)
        if self._live_listener is not None:
            self.system.on_publication(self.live.note)
            self.system.events.subscribe(self.live.note_life)

    def start(self, timeout_s: float = 30.0) -> None:
        """Returns when control is ready, and each service is or has failed once.

        Raises:
            StartupFailed: control does not come up.
        """
        self.database.close_thread()
        self.system.start()
        if not self.system.ready.wait(timeout_s) or self.system.terminated.is_set():
            errors = [
                actor.waiting_for or actor.last_error
                for actor in self.system.tree()
                if actor.waiting_for or actor.last_error
            ]
            self.stop()
            reason = f"the actors did not start: {'; '.join(errors) or 'no error was reported'}"
            raise PassingCondition(reason=reason)
        late = [
            *self.system.await_first_starts(paths.SERVICES, SERVICES_GRACE_S),
            *self.system.await_first_starts(paths.ACCESS, SERVICES_GRACE_S),
        ]
        if late:
            log.warning("services_not_up_yet", services=late)
        log.info(
            "started", version=__version__, kaiser_id=self.config.gateway.kaiser_id,
            http=f"http://{self.config.http.host}:{self.http_port}",
            broker=str(self._reloader.address), database=self.database.shown,
        )  # fmt: skip

    def reload(self, issuer: Issuer) -> Reloaded:
        """Take what has changed in the files; see `Reloader.reload`. Safe from any thread."""
        return self._reloader.reload(self.system, issuer)

    @property
    def config(self) -> Config:
        """With what reloads have taken."""
        return self._reloader.config

    def stop(self, timeout_s: float = 30.0, *, reason: str = "") -> bool:
        """Switch off what is to be off, then stop in order; False when something was stuck."""
        log.info("stopping", reason=reason)
        began = time.monotonic()
        self._prepare_shutdown()
        self.database.hurry()
        in_order = self.system.stop(timeout_s)
        self._listener.close()
        if self._live_listener is not None:
            self._live_listener.close()
        self.spool.close()
        self._notes.close()
        self.database.close_all()
        self._lock.release()
        log.info("stopped", in_order=in_order, seconds=round(time.monotonic() - began, 3))
        return in_order

    def _prepare_shutdown(self) -> None:
        try:
            told = self.system.handle(paths.SAFETY).ask(
                PrepareShutdown(), timeout_s=SHUTDOWN_GRACE_S, urgent=True
            )
        except SupervisionError:
            # The safety actor is down: the devices fall to their safe state without their server.
            return
        if told:
            self._await_released()

    def _await_released(self) -> None:
        """Until every OFF has been published; an actuator shows it before it publishes."""
        deadline = self.system.runtime.monotonic() + SHUTDOWN_GRACE_S
        pause = threading.Event()
        while self.system.runtime.monotonic() < deadline:
            views = [
                self.system.published_value(path, "view")
                for path in self.system.children(paths.ACTUATORS)
            ]
            if not any(_is_to_be_released(view) for view in views):
                return
            pause.wait(0.01)

    def _make_server(self) -> ApiServer:
        services = Services(
            system=self.system,
            database=self.database.reading(),
            desk=self.desk,
            tokens=self.tokens,
            gate=self._gate,
            lockout=self._lockout,
            clock=self.system.runtime.now,
            monotonic=self.system.runtime.monotonic,
            started_at=self._started_at,
            version=__version__,
            kaiser_id=self.config.gateway.kaiser_id,
            live=self._live_view,
            rate_limit=RateLimit(self.config.http.requests_per_s),
            idempotency=Idempotency(self.desk),
            reload=self.reload,
            stored_newest=self._stored_newest,
            debug=self.config.debug.endpoints,
            cors_origins=self.config.http.cors_origins,
        )
        proxy = self.config.http.trusted_proxy
        return ApiServer(create_app(services), self._listener, proxy, self._live_door)

    def _live_view(self) -> object:
        return None if self.live_port is None else {"port": self.live_port, **self.live.shown()}

    def _make_live_server(self) -> LiveServer:
        assert self._live_listener is not None
        return LiveServer(
            self.live,
            self._live_listener,
            self._gate.hears,
            self._live_door,
            self.config.http.trusted_proxy,
        )

    def _tell_forgery(self, address: str, details: str) -> None:
        entry = AuditEntry(
            at=self.system.runtime.now(), who="user:unknown", what="forged token",
            source=address, result="refused", details=details,
        )  # fmt: skip
        self.system.handle(paths.JOURNAL).tell(RecordAudit(entry=entry))

    def _keep_life_event(self, event: LifeEvent) -> None:
        """Failures in the tree must be in the audit trail, not only in the log."""
        journal = self.system.find(paths.JOURNAL) if event.step in NOTEWORTHY else None
        if journal is not None:
            entry = AuditEntry(
                at=event.at,
                who="system:supervisor",
                what=f"{event.path} {event.step.value}",
                result="failed",
                details=event.detail[:500],
            )
            journal.offer(RecordAudit(entry=entry))

    def _acknowledge_dead_letter(self, letter: DeadLetter) -> None:
        """A message that crashed its actor, or whose actor is gone, is not asked for again.

        One that found a full mailbox is: it stays with the broker. Who rejects, acknowledges.
        """
        if letter.reason in {Reason.OVERFLOW, Reason.REJECTED}:
            return
        inbound = getattr(letter.message, "inbound", letter.message)
        if isinstance(inbound, Inbound) and inbound.qos:
            self.ports.acks.acknowledge([(inbound.session, inbound.mid)])


def _is_to_be_released(view: object) -> bool:
    return (
        isinstance(view, ActuatorView)
        and view.config.on_shutdown is OnShutdown.OFF
        and (view.desired_value > 0.0 or bool(view.reported_value))
    )


def _bind_live(config: Config, listener: socket.socket) -> socket.socket | None:
    """Raises StartupFailed; then the listener of the API is closed, too."""
    address = config.live_address
    try:
        return None if address is None else bind(*address, "[live] listen")
    except StartupFailed:
        listener.close()
        raise
