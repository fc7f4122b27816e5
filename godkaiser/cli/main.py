"""The command line."""

from __future__ import annotations

import codecs
import contextlib
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import structlog
import typer

from godkaiser import __version__
from godkaiser.cli import actors as console
from godkaiser.cli import api as api_console
from godkaiser.cli import audit as audit_console
from godkaiser.cli import backup as backup_console
from godkaiser.cli import broker as broker_console
from godkaiser.cli import decisions as decision_console
from godkaiser.cli import estop as stop_console
from godkaiser.cli import logs as log_console
from godkaiser.cli import operator as operator_console
from godkaiser.cli import spool as spool_console
from godkaiser.cli.command_line import Console, JsonOption, echo_json, tell
from godkaiser.cli.exits import (
    EXIT_STUCK,
    EXIT_USAGE,
    as_an_end,
    code_of,
    fail,
    fail_with,
    run_safely,
    say,
    secret_in,
    settings_from,
)
from godkaiser.cli.gateway_link import address_of
from godkaiser.config import rule_files, site_files
from godkaiser.config.declarations import ignored_beside, look_beside
from godkaiser.config.loading import load
from godkaiser.config.mistakes import ConfigError, Mistake
from godkaiser.config.open_secrets import open_secrets
from godkaiser.config.outlets import outlets_of
from godkaiser.config.salvage import salvage
from godkaiser.config.settings import Config, LogConfig
from godkaiser.demo.child_process import Signals
from godkaiser.domain.declared import Declared
from godkaiser.domain.declared_warnings import warnings_of
from godkaiser.domain.entities import Issuer
from godkaiser.errors.base import GatewayError
from godkaiser.errors.process import ReloadRefused

if TYPE_CHECKING:
    from godkaiser.gateway import Gateway

app = Console(no_args_is_help=True)


def main() -> None:
    """The entry point of the console script."""
    run_safely(app)


def _read_all(path: Path | None) -> tuple[Config, Declared]:
    """The configuration and the declarations beside it. Raises ConfigError with every mistake of
    both.
    """
    settings, site, mistakes = _look_at_all(path)
    if mistakes:
        raise ConfigError(mistakes)
    return settings, site


def _look_at_all(path: Path | None) -> tuple[Config, Declared, list[Mistake]]:
    """The usable part of the configuration and its declarations, and every mistake of both."""
    try:
        settings, mistakes = load(path, os.environ), list[Mistake]()
    except ConfigError as error:
        settings, mistakes = salvage(path, os.environ)[0], error.mistakes
    site, of_site = look_beside(path)
    return settings, site, [*mistakes, *of_site]


@app.command()
def version(*, as_json: JsonOption = False) -> None:
    """Print the version."""
    tell({"version": __version__}, __version__, as_json=as_json)


@app.command()
def check(
    config: Annotated[Path, typer.Option(readable=False, help="The configuration file.")] = Path(
        "conf/godkaiser.toml"
    ),
    *,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration file, devices.d and rules.d beside it; tell every mistake with its line, and
    what is doubtful. Ends with 78 on a mistake; 75 if all of them may pass by themselves.
    """
    settings, site, mistakes = _look_at_all(config)
    doubts = (*open_secrets(settings), *warnings_of(site, outlets_of(settings)))
    warnings = [{"where": where, "warning": text} for where, text in doubts]
    ignored = [] if mistakes else ignored_beside(config)
    if as_json:
        echo_json({"mistakes": mistakes, "warnings": warnings, "ignored": ignored})
    else:
        for mistake in mistakes:
            typer.echo(str(mistake), err=True)
        for warning in warnings:
            typer.echo(f"{warning['where']}: warning: {warning['warning']}", err=True)
        if ignored:
            typer.echo(f"not read: {', '.join(ignored)}", err=True)
        if not mistakes:
            _tell_good(config, site)
    if mistakes:
        raise typer.Exit(code_of(ConfigError(mistakes)))


def _tell_good(config: Path, site: Declared) -> None:
    typer.echo(f"{config}: good")
    typer.echo(
        f"{config.parent / site_files.FOLDER}: {len(site.devices)} devices, {len(site.sensors)} sensors,"
        f" {len(site.actuators)} actuators, {len(site.interlocks)} interlocks,"
        f" {len(site.stop_inputs)} stop inputs"
    )
    typer.echo(f"{config.parent / rule_files.FOLDER}: {len(site.rules)} rules")


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Option(help="The configuration file; default: the built-in defaults.")
    ] = None,
) -> None:
    """Run the gateway with an external broker, as the systemd service does."""
    # Before any file is read, so that a signal during the start also stops in order, or reloads.
    signals = Signals(hangup_stops=False)
    # Imported here, so that `check` and `--help` do not load the whole gateway.
    from godkaiser.gateway import Gateway
    from godkaiser.host import logs
    from godkaiser.host.service_manager import ServiceManager

    try:
        settings, site = _read_all(config)
    except ConfigError as error:
        # The log format is known if that part of the file is correct.
        chosen = salvage(config, os.environ)[0].log
        logs.set_up(chosen)
        _fail_in_log(error, chosen)
    logs.set_up(settings.log)
    if config is None:
        # An administrator who forgot --config would miss devices that are stored in another folder.
        structlog.get_logger("godkaiser.cli.main").warning(
            "no_configuration_file", data_dir=str(settings.data_dir.resolve()),
            remedy="--config names one; without it everything is as by default",
        )  # fmt: skip
    manager = ServiceManager(dict(os.environ))
    read_again = None if config is None else functools.partial(_read_all, config)
    try:
        gateway = Gateway(settings, site, read_again, manager.busy)
        gateway.start()
    except GatewayError as error:
        _fail_in_log(error, settings.log)
    manager.ready()
    url = f"http://{settings.http.host}:{gateway.http_port}"
    _tell(settings.log, f"God-Kaiser {__version__} listens on {url}", "listening", url=url)
    if not gateway.tokens.has_users():
        token = gateway.tokens.setup.token
        text = (
            "Nobody can log in yet. POST /api/v1/auth/setup from this machine, or from another one with"
            f' "setup_token": "{token}"'
        )
        _tell(settings.log, text, "nobody_can_log_in_yet", setup_token=token)
    while not signals.stop_asked:
        signals.wait(manager.watchdog_interval_s or 1.0)
        if gateway.system.terminated.is_set():
            break
        if signals.take_reload():
            _reload(gateway)
        if gateway.system.is_responsive():
            manager.alive()
    manager.stopping()
    in_order = gateway.stop(reason=signals.stop_asked or "the tree of actors has given up")
    code = gateway.system.exit_code
    _leave(code if code or in_order else EXIT_STUCK)


def _tell(config: LogConfig, text: str, event: str, **details: str) -> None:
    """Print for the terminal; with a JSON log, write a log line instead."""
    if config.format == "json":
        structlog.get_logger("godkaiser.cli.main").info(event, **details)
    else:
        say(text)


def _fail_in_log(error: GatewayError | ConfigError, config: LogConfig) -> NoReturn:
    """End with the mistakes: as log lines with a JSON log, else as lines for people."""
    if config.format != "json":
        fail_with(error)
    log = structlog.get_logger("godkaiser.cli.main")
    if isinstance(error, ConfigError):
        for mistake in error.mistakes:
            log.critical("configuration_refused", **msgspec.structs.asdict(mistake))
        raise typer.Exit(code_of(error))
    ended = as_an_end(error)
    log.critical("start_failed", reason=ended.message, code=ended.code)
    raise typer.Exit(code_of(ended))


def _reload(gateway: Gateway) -> None:
    """Reload on SIGHUP. The gateway reports the result in the log and the audit trail."""
    try:
        gateway.reload(Issuer("system", "SIGHUP"))
    except ReloadRefused:
        return
    except GatewayError as error:
        structlog.get_logger("godkaiser.gateway").warning("reload_failed", reason=error.message)


@app.command()
def demo(
    http: Annotated[str, typer.Option(help="HOST:PORT of the API.")] = "127.0.0.1:8000",
    mqtt: Annotated[str, typer.Option(help="HOST:PORT of the embedded broker.")] = "127.0.0.1:1883",
    data: Annotated[Path, typer.Option(help="The folder of the database.")] = Path("var"),
    devices: Annotated[int, typer.Option(min=1, max=1000, help="Simulated ESP32s.")] = 5,
) -> None:
    """Run a greenhouse: embedded broker, SQLite, simulated devices and rules."""
    from godkaiser.cli.live_lines import LiveLines
    from godkaiser.demo.demo import ADMIN, Demo, DemoSettings
    from godkaiser.host import logs

    logs.set_up(LogConfig(level="error"))
    settings = DemoSettings(
        http=address_of(http, "--http"),
        mqtt=address_of(mqtt, "--mqtt"),
        data_dir=data,
        devices=devices,
    )
    signals = Signals(hangup_stops=True)
    try:
        running = Demo(settings, os.environ)
    except GatewayError as error:
        fail_with(error)
    place = f"http://{settings.http[0]}:{running.gateway.http_port}"
    url = f"{place}/api/v1"
    say(f"God-Kaiser {__version__}: a simulated greenhouse of {devices} ESP32s")
    say(f"  page       {place}/   (open it in a browser)")
    say(f"  API        {url}")
    say(f"  health     {url}/health")
    say(f"  MQTT       {mqtt} (embedded broker)")
    say(f"  data       {data.resolve()}")
    if running.password:
        say(f"  user       {ADMIN}")
        say(f"  password   {running.password}   (shown once, now)")
    else:
        say(f"  user       {ADMIN}   (use the password of the first start)")
    say("  stop       Ctrl-C")
    say("")
    live = LiveLines(running.gateway.system)
    while not signals.stop_asked and not running.gateway.system.terminated.is_set():
        signals.wait(1.0)
        if not all(say(line) for line in live.lines()):
            # The terminal is gone.
            break
    say("stopping in order ...")
    in_order = running.stop(signals.stop_asked)
    code = running.gateway.system.exit_code
    say("stopped." if in_order and not code else "not stopped in order: see the log.")
    _leave(code if code or in_order else EXIT_STUCK)


@app.command()
def simulate(
    broker: Annotated[str, typer.Option(help="HOST:PORT of the broker.")] = "127.0.0.1:1883",
    devices: Annotated[int, typer.Option(min=1, max=5000)] = 5,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="The id of a device; repeat for more.")
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.0, help="Seconds between readings; 0: as configured.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weather.")] = 1,
    state: Annotated[
        Path | None, typer.Option(help="Folder for the devices' flash memory.")
    ] = None,
    username: Annotated[str, typer.Option(help="One account for all devices.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="Its password.")] = None,
    accounts: Annotated[
        Path | None,
        typer.Option(
            help="A file with a line DEVICE:PASSWORD for each device; without --id these are the devices."
        ),
    ] = None,
    ca_cert: Annotated[
        Path | None, typer.Option(help="With --tls: the trusted certificate authorities.")
    ] = None,
    client_cert: Annotated[
        Path | None, typer.Option(help="With --tls: the devices' certificate.")
    ] = None,
    client_key: Annotated[Path | None, typer.Option(help="The key of --client-cert.")] = None,
    *,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS to the broker.")] = False,
    follow_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run simulated ESP32s against a broker."""
    from godkaiser.demo.child_process import stop_event_of_process
    from godkaiser.domain.devices.devices import validate_device_id
    from godkaiser.mqtt.broker_address import BrokerAddress, tls_context
    from godkaiser.mqtt.link_failure import reason_unusable
    from godkaiser.simulator.fleet import Fleet
    from godkaiser.simulator.run import simulate as run_fleet

    host, port = address_of(broker, "--broker")
    passwords = {} if accounts is None else _accounts_in(accounts)
    chosen = list(dict.fromkeys(ids or passwords))
    for name in chosen:
        validate_device_id(name)
    address = BrokerAddress(
        host=host, port=port, tls=tls, ca_cert=str(ca_cert or ""), client_cert=str(client_cert or ""),
        client_key=str(client_key or ""),
    )  # fmt: skip
    try:
        context = tls_context(address) if tls else None
    except OSError as error:
        fail(reason_unusable(address, error), EXIT_USAGE)
    password = "" if password_file is None else secret_in(password_file)
    fleet = Fleet(
        host,
        port,
        devices,
        seed=seed,
        interval_s=interval or None,
        state_dir=state,
        credentials=(username, password) if username else None,
        accounts=passwords,
        ids=chosen,
        tls=context,
    )
    run_fleet(fleet, stop_event_of_process(follow_parent=follow_parent), quiet=follow_parent)


def _accounts_in(path: Path) -> dict[str, str]:
    """The lines DEVICE:PASSWORD of a file; ends the command at the first malformed one."""
    found = {}
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    for number, line in enumerate(lines, start=1):
        name, _, password = line.decode("utf-8", "replace").strip().partition(":")
        if name.startswith("#") or not line.strip():
            continue
        if not name or not password:
            fail(f"{path}:{number}: write DEVICE:PASSWORD", EXIT_USAGE)
        found[name] = password
    return found


@app.command(name="embedded-broker", hidden=True)
def embedded_broker(address: str) -> None:
    """The demo's broker, in a process of its own; ends with its parent."""
    from godkaiser.demo.child_process import stop_event_of_process
    from godkaiser.demo.embedded_broker import serve

    host, port = address_of(address, "embedded-broker")
    serve(host, port, stop_event_of_process(follow_parent=True))


@app.command()
def migrate(
    config: Annotated[Path | None, typer.Option(help="The configuration file.")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only list the missing steps.")] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="Upgrade without a backup.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upgrade the database schema, after a backup of a database that is not empty."""
    from godkaiser.storage.engine import migrations
    from godkaiser.storage.engine.database import open_database, open_present
    from godkaiser.storage.engine.upgrade import upgrade

    settings = settings_from(config)
    try:
        database = (open_present if check else open_database)(settings.database_url)
        if check:
            steps = migrations.pending(database)
        elif no_backup:
            steps = migrations.migrate(database)
        else:
            steps = upgrade(database, settings.data_dir)
    except GatewayError as error:
        fail_with(error)
    database.close_all()
    word = "missing" if check else "done"
    tell({word: steps}, f"{word}: {', '.join(steps) or 'nothing'}", as_json=as_json)
    raise typer.Exit(1 if check and steps else 0)


app.add_typer(console.app)
app.add_typer(operator_console.app)
app.add_typer(log_console.app)
app.add_typer(api_console.app)
app.add_typer(decision_console.app)
app.add_typer(stop_console.app)
app.add_typer(spool_console.app)
app.add_typer(backup_console.app)
app.add_typer(audit_console.app, name="audit")
app.add_typer(broker_console.app, name="mqtt")


def _leave(code: int) -> NoReturn:
    """End the process even if a thread is stuck."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):
            stream.flush()
    os._exit(code)
