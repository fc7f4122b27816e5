"""The composition root: the whole tree of actors, written once, as data.

Started top to bottom, so that nobody gets a message before whom it needs is there; stopped bottom
to top. A branch that keeps failing gives up, then the root, then the process exits and systemd
starts it again.
"""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from godkaiser import __version__, paths
from godkaiser.actors.actuator import ActuatorActor
from godkaiser.actors.broker import BrokerActor
from godkaiser.actors.broker_accounts import BrokerAccountsActor
from godkaiser.actors.device import LIVENESS_JOB, DeviceActor
from godkaiser.actors.housekeeper import PURGE_JOB, RETENTION_JOB, HousekeeperActor
from godkaiser.actors.journal import JournalActor, RecordAudit
from godkaiser.actors.mock_keeper import ORPHANS_JOB, MockKeeperActor
from godkaiser.actors.notifier import NotifierActor
from godkaiser.actors.recalculator import RecalculatorActor
from godkaiser.actors.recorder import RecorderActor
from godkaiser.actors.registrar import RegistrarActor
from godkaiser.actors.roller import ROLLUPS_JOB, RollerActor
from godkaiser.actors.router import RouterActor
from godkaiser.actors.rule import RULES_JOB, RuleActor
from godkaiser.actors.safety import SafetyActor, SafetyRecord
from godkaiser.actors.sensor_watch import SENSORS_JOB, SensorWatchActor
from godkaiser.actors.server import ServerActor
from godkaiser.actors.spool import SpoolActor
from godkaiser.actors.stops import StopTokens
from godkaiser.actors.timekeeper import Job, TimekeeperActor
from godkaiser.actors.webhook_keeper import Audience, WebhookKeeperActor
from godkaiser.config import Config
from godkaiser.domain.declared import NOTHING, Declared
from godkaiser.domain.entities import (
    ActuatorConfig,
    ActuatorKey,
    DeviceRecord,
    OnShutdown,
    SensorConfig,
)
from godkaiser.domain.retention import RetentionPolicy
from godkaiser.domain.rules import RuleDefinition, RuleMemory
from godkaiser.errors import StartupFailed
from godkaiser.http.app import create_app
from godkaiser.http.lockout import Lockout
from godkaiser.http.rate_limit import RateLimit
from godkaiser.http.server import ApiServer, bind
from godkaiser.http.services import Services
from godkaiser.http.signing_keys import KEY_FILE, open_signing_keys
from godkaiser.http.tokens import TokenService
from godkaiser.live.hub import LiveHub
from godkaiser.live.server import LiveServer
from godkaiser.live.webhooks import audience
from godkaiser.messages import ActuatorView, PrepareShutdown
from godkaiser.mqtt.account_files import BrokerFiles
from godkaiser.mqtt.connection import BrokerAddress, Inbound
from godkaiser.mqtt.ports import Ports, open_ports
from godkaiser.notifications import channels, post
from godkaiser.single_instance import DataFolderLock
from godkaiser.storage import registry
from godkaiser.storage.audit import AuditEntry
from godkaiser.storage.database import Database
from godkaiser.storage.latch_file import LatchFile
from godkaiser.storage.spool import Spool
from godkaiser.stores import open_stores
from godkaiser.supervision import (
    ActorSystem,
    ChildSpec,
    DeadLetter,
    Handle,
    Intensity,
    LifeEvent,
    MailboxSpec,
    Overflow,
    Reason,
    Step,
    Strategy,
    SupervisionError,
    ThreadedRuntime,
    supervisor,
)

# What is under way between the broker and the disk is bounded before (AckPort), and fits here, so a
# reading is never refused for want of room.
FLEET_MAILBOX = MailboxSpec(capacity=20_000)
ROUTER_MAILBOX = MailboxSpec(capacity=20_000, overflow=Overflow.BLOCK)
# Many children of one kind: a few that crash for themselves must not bring down the others, a
# fault that hits all of them must.
FLEET_INTENSITY = Intensity(max_restarts=50, within_s=60.0)
# Mocks are there to fail: they never bring down what is real.
MOCK_INTENSITY = Intensity(max_restarts=10_000, within_s=60.0)
SHUTDOWN_GRACE_S = 2.0
NOTEWORTHY = frozenset({Step.CRASHED, Step.GAVE_UP, Step.STUCK, Step.STALLED})


class Gateway:
    """One gateway in this process. `start` returns when it is ready, `stop` when all has ended."""

    def __init__(self, config: Config, declared: Declared = NOTHING) -> None:
        """Open what can fail for reasons that an admin can mend. `declared` is from the site files.

        Raises:
            StartupFailed: the text says what to change.
        """
        self.config = config
        self._lock = _lock_data_folder(config)
        try:
            self.database, self.spool = open_stores(config, declared)
        except StartupFailed:
            self._lock.release()
            raise
        try:
            self.signing = open_signing_keys(
                config.jwt_secret, config.jwt_secret_previous, config.data_dir / KEY_FILE
            )
            self._listener = bind(config.http.host, config.http.port)
            self._live_listener = _bind_live(config, self._listener)
            address = broker_address(config)
        except StartupFailed:
            self.spool.close()
            self.database.close_thread()
            self._lock.release()
            raise
        self.ports = open_ports(config.gateway.kaiser_id)
        self.tokens = TokenService(self.database, self.signing, config.gateway.kaiser_id)
        self.http_port: int = self._listener.getsockname()[1]
        self.live_port: int | None = (
            None if self._live_listener is None else self._live_listener.getsockname()[1]
        )
        self._started_at = time.time()
        self.live = LiveHub(f"{self._started_at:.0f}", time.time)
        self.system = ActorSystem(
            _tree(
                config,
                declared,
                self.database,
                self.spool,
                self.ports,
                address,
                _stop_tokens(config),
                self._make_server,
                self._make_live_server if self._live_listener is not None else None,
                audience(self.live),
            ),
            ThreadedRuntime(),
        )
        self.system.dead_letters.subscribe(self._acknowledge_dead_letter)
        self.system.events.subscribe(self._keep_life_event)
        if self._live_listener is not None:
            self.system.on_publication(self.live.note)
            self.system.events.subscribe(self.live.note_life)

    def start(self, timeout_s: float = 30.0) -> None:
        """Raises StartupFailed when the tree does not come up."""
        self.tokens.load_blacklist(self.system.runtime.now())
        self.database.close_thread()
        self.system.start()
        if not self.system.ready.wait(timeout_s) or self.system.terminated.is_set():
            errors = [actor.last_error for actor in self.system.tree() if actor.last_error]
            self.stop()
            reason = f"the actors did not start: {'; '.join(errors) or 'no error was reported'}"
            raise StartupFailed(reason=reason)

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Switch off what is to be off, then stop in order; False when something was stuck."""
        self._prepare_shutdown()
        in_order = self.system.stop(timeout_s)
        self._listener.close()
        if self._live_listener is not None:
            self._live_listener.close()
        self.spool.close()
        self.database.close_all()
        self._lock.release()
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
            database=self.database,
            tokens=self.tokens,
            lockout=Lockout(
                self.config.http.login_attempts, float(self.config.http.login_lockout_s)
            ),
            clock=self.system.runtime.now,
            started_at=self._started_at,
            version=__version__,
            kaiser_id=self.config.gateway.kaiser_id,
            live=self._live_view,
            rate_limit=RateLimit(self.config.http.requests_per_s),
            cors_origins=self.config.http.cors_origins,
        )
        return ApiServer(create_app(services), self._listener, self.config.http.trusted_proxy)

    def _live_view(self) -> object:
        return None if self.live_port is None else {"port": self.live_port, **self.live.shown()}

    def _make_live_server(self) -> LiveServer:
        assert self._live_listener is not None
        now = self.system.runtime.now
        return LiveServer(
            self.live,
            self._live_listener,
            lambda token: self.tokens.identify(token, now()).expires_at,
            now,
        )

    def _keep_life_event(self, event: LifeEvent) -> None:
        """What goes wrong in the tree belongs into the audit trail, not only into the log."""
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


def _tree(
    config: Config,
    declared: Declared,
    database: Database,
    spool: Spool,
    ports: Ports,
    address: BrokerAddress,
    tokens: StopTokens,
    make_server: Callable[[], ApiServer],
    make_live_server: Callable[[], LiveServer] | None,
    webhook_audience: Audience,
) -> ChildSpec:
    """The tree. Read it from top to bottom: that is the order of the start."""
    kaiser_id = config.gateway.kaiser_id
    retention = RetentionPolicy(**msgspec.structs.asdict(config.retention))
    return supervisor(
        "gateway",
        [
            supervisor(
                "storage",
                [
                    ChildSpec(
                        name="recorder",
                        factory=lambda: RecorderActor(database.probing(), ports.acks, spool),
                        mailbox=FLEET_MAILBOX,
                    ),
                    ChildSpec(
                        name="journal",
                        factory=lambda: JournalActor(database, ports.acks, spool),
                        mailbox=FLEET_MAILBOX,
                    ),
                    ChildSpec(
                        name="spool",
                        factory=lambda: SpoolActor(
                            database.probing(), spool, kaiser_id, config.spool.replay_per_s
                        ),
                    ),
                ],
                strategy=Strategy.REST_FOR_ONE,
            ),
            supervisor(
                "safety",
                [
                    supervisor("actuators", private=True, intensity=FLEET_INTENSITY),
                    ChildSpec(
                        name="guard",
                        factory=_safety_factory(config, declared, database, ports, tokens),
                        mailbox=FLEET_MAILBOX,
                    ),
                ],
                strategy=Strategy.REST_FOR_ONE,
            ),
            supervisor("devices", intensity=FLEET_INTENSITY),
            supervisor("rules", intensity=FLEET_INTENSITY),
            ChildSpec(
                name="registrar", factory=lambda: _registrar(config, declared, database, ports)
            ),
            supervisor(
                "link",
                [
                    ChildSpec(
                        name="router",
                        factory=lambda: RouterActor(ports.acks),
                        mailbox=ROUTER_MAILBOX,
                    ),
                    ChildSpec(
                        name="broker",
                        factory=lambda: BrokerActor(address, kaiser_id, ports),
                        shutdown_timeout_s=10.0,
                    ),
                ],
                strategy=Strategy.REST_FOR_ONE,
            ),
            supervisor("mocks", intensity=MOCK_INTENSITY),
            ChildSpec(
                name="mock_keeper",
                factory=lambda: MockKeeperActor(
                    database, address, kaiser_id, config.data_dir / "mocks"
                ),
            ),
            ChildSpec(name="roller", factory=lambda: RollerActor(database)),
            ChildSpec(name="sensor_watch", factory=SensorWatchActor, pooled=True),
            ChildSpec(name="housekeeper", factory=lambda: HousekeeperActor(database, retention)),
            ChildSpec(
                name="notifier",
                factory=lambda: NotifierActor(channels(config.notify, ports.notifications)),
                mailbox=MailboxSpec(capacity=500, overflow=Overflow.KEEP_NEWEST),
            ),
            *_broker_accounts(config, database, address),
            supervisor("webhooks", intensity=MOCK_INTENSITY),
            ChildSpec(
                name="webhook_keeper",
                factory=lambda: WebhookKeeperActor(database, post, webhook_audience),
                shutdown_timeout_s=20.0,
            ),
            ChildSpec(name="recalculator", factory=lambda: RecalculatorActor(database)),
            ChildSpec(name="timekeeper", factory=lambda: TimekeeperActor(_jobs())),
            ChildSpec(name="api", factory=lambda: ServerActor(make_server)),
            *_live(make_live_server),
        ],
    )


def _broker_accounts(
    config: Config, database: Database, address: BrokerAddress
) -> tuple[ChildSpec, ...]:
    if not config.broker_accounts.folder:
        return ()
    files = broker_files(config, address)
    return (
        ChildSpec(name="broker_accounts", factory=lambda: BrokerAccountsActor(database, files)),
    )


def _live(make_server: Callable[[], LiveServer] | None) -> tuple[ChildSpec, ...]:
    if make_server is None:
        return ()
    return (ChildSpec(name="live", factory=lambda: ServerActor(make_server)),)


def _bind_live(config: Config, listener: socket.socket) -> socket.socket | None:
    """Raises StartupFailed; then the listener of the API is closed, too."""
    address = config.live_address
    try:
        return None if address is None else bind(*address, "[live] listen")
    except StartupFailed:
        listener.close()
        raise


def _jobs() -> tuple[Job, ...]:
    return (
        Job(LIVENESS_JOB, IntervalTrigger(seconds=5)),
        Job(RULES_JOB, IntervalTrigger(seconds=10)),
        Job(ROLLUPS_JOB, IntervalTrigger(seconds=5)),
        Job(PURGE_JOB, IntervalTrigger(hours=1)),
        Job(ORPHANS_JOB, IntervalTrigger(hours=1)),
        Job(SENSORS_JOB, IntervalTrigger(minutes=5)),
        Job(RETENTION_JOB, CronTrigger(hour=3, minute=10, timezone="UTC")),
    )


def _safety_factory(
    config: Config, declared: Declared, database: Database, ports: Ports, tokens: StopTokens
) -> Callable[[], SafetyActor]:
    """Reads the database once, for the first incarnation: a safety actor must be able to start again
    while that is away. What changes later, it remembers over a crash itself.
    """

    @functools.cache
    def stored() -> tuple[SafetyRecord, dict[ActuatorKey, registry.Runtime]]:
        found = SafetyRecord(
            actuators=tuple(registry.load_actuators(database)),
            interlocks=(*declared.interlocks, *registry.load_interlocks(database)),
            stop_inputs=declared.stop_inputs,
            holds=registry.load_holds(database),
            mirror_exists=registry.has_safety_mirror(database),
        )
        runtimes = registry.load_runtimes(database)
        database.close_thread()
        return found, runtimes

    def actuator(actuator: ActuatorConfig, guard: Handle, journal: Handle) -> ChildSpec:
        runtime = stored()[1].get(actuator.key)
        return ChildSpec(
            name=f"{actuator.esp_id}:{actuator.gpio}",
            factory=lambda: ActuatorActor(actuator, runtime, ports.commands, guard, journal),
            pooled=True,
            mailbox=MailboxSpec(capacity=1000),
        )

    return lambda: SafetyActor(
        stored()[0],
        actuator,
        ports.stops,
        ports.permits,
        LatchFile(config.data_dir / "safety.latch"),
        kaiser_id=config.gateway.kaiser_id,
        tokens=tokens,
    )


def _registrar(
    config: Config, declared: Declared, database: Database, ports: Ports
) -> RegistrarActor:
    def device(
        record: DeviceRecord,
        sensors: tuple[SensorConfig, ...],
        actuators: tuple[ActuatorConfig, ...],
    ) -> ChildSpec:
        return ChildSpec(
            name=record.device_id,
            factory=lambda: DeviceActor(
                record,
                sensors,
                actuators,
                ports.devices,
                ports.acks,
                config.devices.offline_after_s,
            ),
            mailbox=FLEET_MAILBOX,
            pooled=True,
        )

    def rule(rule_id: int, definition: RuleDefinition, memory: RuleMemory | None) -> ChildSpec:
        return ChildSpec(
            name=str(rule_id),
            factory=lambda: RuleActor(rule_id, definition, memory),
            pooled=True,
            mailbox=MailboxSpec(capacity=5000, overflow=Overflow.KEEP_NEWEST),
        )

    approve_unknown = config.devices.approval == "auto"
    return RegistrarActor(
        database, device, rule, ports.devices, ports.acks, declared, approve_unknown=approve_unknown
    )


def _lock_data_folder(config: Config) -> DataFolderLock:
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (
            f"the data folder {config.data_dir} cannot be made: {error.strerror}. Choose another"
            " [gateway] data_dir, or make its parent writable."
        )
        raise StartupFailed(reason=reason) from error
    return DataFolderLock(config.data_dir)


def _stop_tokens(config: Config) -> StopTokens:
    """Raises StartupFailed when a token file cannot be read."""
    return StopTokens(
        _secret(config.safety.device_token_file, "[safety] device_token_file"),
        _secret(config.safety.broadcast_token_file, "[safety] broadcast_token_file"),
    )


def _secret(file: str, key: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        reason = f"{key} {file}: {error.strerror}."
        raise StartupFailed(reason=reason) from error


def broker_files(config: Config, address: BrokerAddress) -> BrokerFiles:
    chosen = config.broker_accounts
    return BrokerFiles(chosen.folder, chosen.pid_file, address.username, address.password)


def broker_address(config: Config) -> BrokerAddress:
    """Raises StartupFailed when the password file cannot be read."""
    mqtt = config.mqtt
    password = _secret(mqtt.password_file, "[mqtt] password_file")
    return BrokerAddress(
        host=mqtt.host,
        port=mqtt.port,
        username=mqtt.username,
        password=password,
        tls=mqtt.tls,
        ca_cert=mqtt.ca_cert,
        client_cert=mqtt.client_cert,
        client_key=mqtt.client_key,
        keepalive_s=mqtt.keepalive_s,
    )
