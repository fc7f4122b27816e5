"""`godkaiser mqtt`: the devices' accounts on the broker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from godkaiser.cli.command_line import Console, JsonOption, tell
from godkaiser.cli.exits import (
    EXIT_CANNOT_WRITE,
    EXIT_CONFIG,
    EXIT_NOT_GOOD,
    fail,
    fail_with,
    settings_from,
)
from godkaiser.cli.gateway_link import ConfigOption, DataOption, HttpOption
from godkaiser.cli.operator import at, link_to, of, show
from godkaiser.errors.base import GatewayError
from godkaiser.errors.link import AccountFilesUnusable
from godkaiser.host.data_folder import make_data_folder

app = Console(no_args_is_help=True, help="Manage the devices' accounts on the broker.")


@app.command()
def sync(
    config: Annotated[Path, typer.Option(help="The configuration file.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Write Mosquitto's passwd and acl from the database; works without the gateway, and before its
    first start.
    """
    from godkaiser.config.credentials import broker_address
    from godkaiser.storage.engine import migrations
    from godkaiser.storage.engine.database import open_database
    from godkaiser.storage.repositories import broker_accounts, registry
    from godkaiser.tree import broker_files

    settings = settings_from(config)
    if not settings.broker_accounts.folder:
        fail(f"{config}: set [broker_accounts] folder first", EXIT_CONFIG)
    try:
        make_data_folder(settings)
        files = broker_files(settings, broker_address(settings))
        database = open_database(settings.database_url)
        try:
            is_new = bool(migrations.pending(database)) and not migrations.version_of(database)
            others = files.accounts_of_others() if is_new else []
            if others:
                reason = (
                    f"the database is new, and passwd holds the accounts of {len(others)} devices,"
                    f" such as {others[0]}, which would be removed. Is {config} the gateway's own configuration?"
                    " If it is, remove passwd first."
                )
                raise AccountFilesUnusable(reason=reason)
            migrations.migrate(database)
            accounts = broker_accounts.load_accounts(database)
            changed = files.write(accounts, registry.load_devices(database))
        finally:
            database.close_all()
    except GatewayError as error:
        fail_with(error, EXIT_CANNOT_WRITE)
    what = "written" if changed else "up to date"
    text = f"{settings.broker_accounts.folder}: {what}, {len(accounts)} accounts of devices"
    tell({"changed": changed, "accounts": len(accounts)}, text, as_json=as_json)


@app.command()
def account(
    device: Annotated[str, typer.Argument(help="The device, such as ESP_4F3A9C.")],
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the account.")] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Create an account for a device, or set a new password, which is shown once."""
    link = link_to(config, data, http)
    path = f"/esp/devices/{quote(device, safe='')}/broker-account"
    if remove:
        link.delete(path)
        tell({"removed": device}, f"the account of {device} is removed", as_json=as_json)
        return
    made = link.post(path, {})
    if as_json:
        show(made, (), as_json=True)
    else:
        typer.echo(f"user {made['username']}  password, shown once: {made['password']}")


@app.command()
def accounts(
    config: ConfigOption = None, data: DataOption = None, http: HttpOption = "", *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List the accounts, and whether Mosquitto's files are up to date."""
    found = link_to(config, data, http).get("/system/broker-accounts")
    columns = (
        ("device", of("device_id")), ("rights", of("rights")), ("by", of("made_by")),
        ("since", at("made_at")),
    )  # fmt: skip
    show(found, columns, as_json=as_json)
    if not as_json:
        typer.echo(f"{found['state']} {found['error']}".rstrip())
    if found["state"] == "failed":
        raise typer.Exit(EXIT_NOT_GOOD)
