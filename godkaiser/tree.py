"""The whole tree of actors, written once, as data.

Children start from top to bottom, each after what it depends on, and stop from bottom to top. The
root has two branches. `control` is what a plant needs to run and to stop: when one of its parts keeps
failing, the branch gives up, the process exits, and systemd starts it again. `services` is everything
else: each service is restarted for ever, with growing backoff, and never touches control.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from apscheduler.triggers.cron import CronTrigger

from godkaiser.actors.access.accounts import AccountsActor
from godkaiser.actors.access.idempotency import IdempotencyActor
from godkaiser.actors.access.signing_keys import SigningKeysActor
from godkaiser.actors.devices.device import LIVENESS_JOB, DeviceActor
from godkaiser.actors.devices.mock_keeper import ORPHANS_JOB, MockKeeperActor
from godkaiser.actors.link.broker import (
    BrokerActor,
    ConnectionLost,
    LinkDown,
    LinkUp,
    RenewCommands,
    UseAddress,
)
from godkaiser.actors.link.broker_accounts import BrokerAccountsActor
from godkaiser.actors.link.router import BroadcastSeen, RouterActor
from godkaiser.actors.registry.registrar import RegistrarActor
from godkaiser.actors.rules.dose_keeper import DoseKeeperActor
from godkaiser.actors.rules.rule import RULES_JOB, RuleActor
from godkaiser.actors.safety.actuator import ActuatorActor
from godkaiser.actors.safety.messages import StopAll
from godkaiser.actors.safety.safety_actor import SafetyActor, SafetyRecord
from godkaiser.actors.safety.stop_input_monitor import StopInputMonitor
from godkaiser.actors.services.notification_channels import channels
from godkaiser.actors.services.notifier import NotifierActor
from godkaiser.actors.services.outbound import Outbound
from godkaiser.actors.services.sensor_watch import SENSORS_JOB, SensorWatchActor
from godkaiser.actors.services.server import ServerActor
from godkaiser.actors.services.timekeeper import Job, TimekeeperActor
from godkaiser.actors.services.webhook_keeper import WebhookKeeperActor
from godkaiser.actors.storage.housekeeper import PURGE_JOB, RETENTION_JOB, HousekeeperActor
from godkaiser.actors.storage.journal import JournalActor
from godkaiser.actors.storage.recalculator import RecalculatorActor
from godkaiser.actors.storage.recorder import RecorderActor
from godkaiser.actors.storage.rollups import ROLLUPS_JOB, RollupsActor
from godkaiser.actors.storage.spool import SpoolActor
from godkaiser.config.outlets import outlets_of
from godkaiser.config.settings import Config
from godkaiser.domain.entities import (
    ActuatorConfig,
    DeviceRecord,
    SensorConfig,
)
from godkaiser.domain.rules.rules import RuleDefinition, RuleMemory
from godkaiser.domain.safety.holds import Holds
from godkaiser.domain.safety.stop_state import SafetyState
from godkaiser.live.server import LiveServer
from godkaiser.mqtt.account_files import BrokerFiles
from godkaiser.mqtt.broker_address import BrokerAddress
from godkaiser.mqtt.session_mark import SessionMark
from godkaiser.parts import Parts
from godkaiser.storage.engine.database import PATIENT, PROMPT, REPLAYING, SAVING
from godkaiser.storage.files.record_file import RecordFile
from godkaiser.storage.files.signing_key_file import KEY_FILE
from godkaiser.storage.repositories import registry
from godkaiser.supervision import (
    Backoff,
    ChildSpec,
    Handle,
    Intensity,
    MailboxSpec,
    Overflow,
    Strategy,
    supervisor,
)

# What is under way between the broker and the disk is bounded before (AckPort), and fits here, so a
# reading is never refused for want of room.
FLEET_MAILBOX = MailboxSpec(capacity=20_000)
# Nothing but a stop overtakes: then nothing else can fill the lane of stops.
SAFETY_MAILBOX = MailboxSpec(capacity=20_000, urgent=(StopAll, BroadcastSeen), takes_resent=False)
DEVICE_MAILBOX = MailboxSpec(capacity=20_000, urgent=(LinkUp, LinkDown))
ROUTER_MAILBOX = MailboxSpec(capacity=20_000, overflow=Overflow.BLOCK)
ENDS_THE_PROCESS = Intensity(max_restarts=0)
NEVER_GIVES_UP = None
# A fleet's children are tried again for ever, so the pace of one that always fails must be low.
FLEET_BACKOFF = Backoff(max_s=60.0)
# People wait for it to log in.
ACCESS_BACKOFF = Backoff(max_s=5.0)
# A change that was refused must not be made later.
ACCESS_MAILBOX = MailboxSpec(capacity=1000, takes_resent=False)
SERVICES_STOP_S = 25.0


def tree_of(parts: Parts) -> ChildSpec:
    """Read it from top to bottom: that is the order of the start."""
    return supervisor(
        "gateway",
        [
            supervisor("control", _control(parts)),
            supervisor(
                "services",
                _services(parts),
                intensity=NEVER_GIVES_UP,
                escalates=False,
                shutdown_timeout_s=SERVICES_STOP_S,
            ),
        ],
        intensity=ENDS_THE_PROCESS,
    )


def _fleet(name: str, dynamic: Sequence[ChildSpec] = (), *, private: bool = False) -> ChildSpec:
    """A supervisor of many children of one kind: some that keep failing do not touch the others."""
    return supervisor(
        name, intensity=NEVER_GIVES_UP, backoff=FLEET_BACKOFF, dynamic=dynamic, private=private
    )


def _control(parts: Parts) -> list[ChildSpec]:
    config, database, spool, ports = parts.config, parts.database, parts.spool, parts.ports
    kaiser_id = config.gateway.kaiser_id
    return [
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
                    factory=lambda: JournalActor(
                        database.paced(PROMPT), ports.acks, spool, kaiser_id
                    ),
                    mailbox=FLEET_MAILBOX,
                ),
                ChildSpec(
                    name="spool",
                    factory=lambda: SpoolActor(
                        database.probing(REPLAYING), spool, kaiser_id, config.spool.replay_per_s
                    ),
                ),
                ChildSpec(name="doses", factory=lambda: DoseKeeperActor(parts.notes.keep)),
            ],
            strategy=Strategy.REST_FOR_ONE,
        ),
        supervisor(
            "safety",
            [
                _fleet("actuators", private=True),
                ChildSpec(name="guard", factory=_safety_factory(parts), mailbox=SAFETY_MAILBOX),
                ChildSpec(
                    name="inputs",
                    factory=lambda: StopInputMonitor(parts.declared.stop_inputs),
                    mailbox=FLEET_MAILBOX,
                ),
            ],
            strategy=Strategy.REST_FOR_ONE,
        ),
        _fleet("devices", _stored_devices(parts)),
        _fleet("rules", _stored_rules(parts)),
        ChildSpec(name="timekeeper", factory=lambda: TimekeeperActor(_jobs())),
        supervisor(
            "link",
            [
                ChildSpec(
                    name="router",
                    factory=lambda: RouterActor(ports.acks, kaiser_id),
                    mailbox=ROUTER_MAILBOX,
                ),
                ChildSpec(
                    name="broker",
                    factory=lambda: BrokerActor(
                        parts.current_address,
                        kaiser_id,
                        ports,
                        SessionMark(config.data_dir / "readings.session"),
                    ),
                    shutdown_timeout_s=10.0,
                    mailbox=MailboxSpec(urgent=(ConnectionLost, UseAddress, RenewCommands)),
                ),
            ],
            strategy=Strategy.REST_FOR_ONE,
        ),
    ]


def _services(parts: Parts) -> list[ChildSpec]:
    config, database = parts.config, parts.database
    kaiser_id = config.gateway.kaiser_id
    outbound = Outbound(outlets_of(config).destinations)
    return [
        supervisor("access", _access(parts), intensity=NEVER_GIVES_UP, backoff=ACCESS_BACKOFF),
        ChildSpec(name="registrar", factory=lambda: _registrar(parts)),
        _fleet("mocks"),
        ChildSpec(
            name="mock_keeper",
            factory=lambda: MockKeeperActor(
                database, parts.address, kaiser_id, config.data_dir / "mocks"
            ),
        ),
        ChildSpec(name="rollups", factory=lambda: RollupsActor(database.paced(PATIENT))),
        ChildSpec(name="sensor_watch", factory=SensorWatchActor, pooled=True),
        ChildSpec(
            name="housekeeper",
            factory=lambda: HousekeeperActor(database.paced(PATIENT), config.retention),
        ),
        _fleet("recipients"),
        ChildSpec(
            name="notifier",
            factory=lambda: NotifierActor(
                channels(config.notify, parts.current_address, kaiser_id, outbound)
            ),
            mailbox=MailboxSpec(capacity=500, overflow=Overflow.KEEP_NEWEST),
        ),
        *_broker_accounts(parts),
        _fleet("webhooks"),
        ChildSpec(
            name="webhook_keeper",
            factory=lambda: WebhookKeeperActor(database, outbound, parts.webhook_audience),
            shutdown_timeout_s=20.0,
        ),
        ChildSpec(name="recalculator", factory=lambda: RecalculatorActor(database.paced(PATIENT))),
        ChildSpec(name="api", factory=lambda: ServerActor(parts.make_server)),
        *_live(parts.make_live_server),
    ]


def _access(parts: Parts) -> list[ChildSpec]:
    """Of three, as what they write fails apart: the database, the key file, the notes of commands."""
    data_dir = parts.config.data_dir
    return [
        ChildSpec(
            name="accounts",
            factory=lambda: AccountsActor(parts.database.paced(SAVING)),
            mailbox=ACCESS_MAILBOX,
        ),
        ChildSpec(
            name="signing_keys",
            factory=lambda: SigningKeysActor(parts.given_signing_keys, data_dir / KEY_FILE),
            mailbox=ACCESS_MAILBOX,
        ),
        ChildSpec(
            name="idempotency",
            factory=lambda: IdempotencyActor(data_dir / "commands.notes"),
            mailbox=ACCESS_MAILBOX,
            # How a command ended is noted in any case: its key would stay in use.
            retry_budget=1,
        ),
    ]


def _broker_accounts(parts: Parts) -> tuple[ChildSpec, ...]:
    if not parts.config.broker_accounts.folder:
        return ()
    files = broker_files(parts.config, parts.address)
    return (
        ChildSpec(
            name="broker_accounts", factory=lambda: BrokerAccountsActor(parts.database, files)
        ),
    )


def broker_files(config: Config, address: BrokerAddress) -> BrokerFiles:
    chosen = config.broker_accounts
    return BrokerFiles(
        chosen.folder,
        chosen.pid_file,
        address.username,
        address.password,
        config.mqtt.stop_password_file,
    )


def _live(make_server: Callable[[], LiveServer] | None) -> tuple[ChildSpec, ...]:
    if make_server is None:
        return ()
    return (ChildSpec(name="live", factory=lambda: ServerActor(make_server)),)


def _jobs() -> tuple[Job, ...]:
    return (
        Job(name=LIVENESS_JOB, every_s=5.0),
        Job(name=RULES_JOB, every_s=10.0),
        Job(name=ROLLUPS_JOB, every_s=5.0),
        Job(name=PURGE_JOB, every_s=3600.0),
        Job(name=ORPHANS_JOB, every_s=3600.0),
        Job(name=SENSORS_JOB, every_s=300.0),
        Job(name=RETENTION_JOB, calendar=CronTrigger(hour=3, minute=10, timezone="UTC")),
    )


def _safety_factory(parts: Parts) -> Callable[[], SafetyActor]:
    """Reads the database once, for the first incarnation: a safety actor must be able to start again
    while that is away. What changes later, it remembers over a crash itself.
    """
    config, database, ports, declared = parts.config, parts.database, parts.ports, parts.declared

    latch = RecordFile(config.data_dir / "safety.latch", SafetyState)
    holds = RecordFile(config.data_dir / "safety.holds", Holds)

    @functools.cache
    def stored() -> SafetyRecord:
        found = SafetyRecord(
            actuators=tuple(registry.load_actuators(database)),
            memories=registry.load_memories(database),
            interlocks=(*declared.interlocks, *registry.load_interlocks(database)),
            holds=registry.load_holds(database),
            mirror_exists=registry.has_safety_mirror(database),
        )
        database.close_thread()
        return found

    def actuator(actuator: ActuatorConfig, guard: Handle) -> ChildSpec:
        return ChildSpec(
            name=f"{actuator.esp_id}:{actuator.gpio}",
            factory=lambda: ActuatorActor(actuator, ports.commands, guard),
            pooled=True,
            mailbox=MailboxSpec(capacity=1000),
        )

    return lambda: SafetyActor(
        stored(),
        actuator,
        ports.stops,
        ports.gate,
        ports.acks,
        latch,
        holds,
        kaiser_id=config.gateway.kaiser_id,
        tokens=parts.tokens,
    )


def _stored_devices(parts: Parts) -> list[ChildSpec]:
    stored = parts.stored
    return [
        _device(
            parts,
            record,
            tuple(stored.sensors.get(record.device_id, ())),
            tuple(stored.actuators.get(record.device_id, ())),
        )
        for record in stored.devices
    ]


def _stored_rules(parts: Parts) -> list[ChildSpec]:
    return [
        _rule(parts, rule.rule_id, rule.definition, parts.stored.memories.get(rule.rule_id))
        for rule in parts.stored.rules
    ]


def _device(
    parts: Parts,
    record: DeviceRecord,
    sensors: tuple[SensorConfig, ...],
    actuators: tuple[ActuatorConfig, ...],
) -> ChildSpec:
    ports, offline_after_s = parts.ports, parts.config.devices.offline_after_s
    return ChildSpec(
        name=record.device_id,
        factory=lambda: DeviceActor(
            record, sensors, actuators, ports.devices, ports.acks, offline_after_s
        ),
        mailbox=DEVICE_MAILBOX,
        pooled=True,
    )


def _rule(
    parts: Parts, rule_id: int, definition: RuleDefinition, memory: RuleMemory | None
) -> ChildSpec:
    notes = parts.notes
    return ChildSpec(
        name=str(rule_id),
        factory=lambda: RuleActor(rule_id, definition, notes.newer(rule_id, memory), notes.note),
        pooled=True,
        mailbox=MailboxSpec(capacity=5000, overflow=Overflow.KEEP_NEWEST, takes_resent=False),
    )


def _registrar(parts: Parts) -> RegistrarActor:
    return RegistrarActor(
        parts.database.paced(SAVING),
        functools.partial(_device, parts),
        functools.partial(_rule, parts),
        parts.ports.devices,
        parts.ports.acks,
        parts.declared,
        outlets_of(parts.config),
        approve_unknown=parts.config.devices.approval == "auto",
    )
