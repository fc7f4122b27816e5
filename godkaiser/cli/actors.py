"""Commands for the operator at the gateway box: show the tree, restart an actor, reload, dead
letters.
"""

from __future__ import annotations

import socket
import time
from typing import Annotated, Any

import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_json, echo_line, tell
from godkaiser.cli.exits import EXIT_CONFIG, fail
from godkaiser.cli.gateway_link import (
    ConfigOption,
    DataOption,
    HttpOption,
    Link,
    Unanswered,
    settings_of,
)

app = Console()

RELOAD_TIMEOUT_S = 20.0


@app.command()
def tree(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every second.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every actor: state, restarts, mailbox, messages handled, last error."""
    link = Link(settings_of(config, data, http))
    while True:
        answer = link.get("/system/tree")
        actors = answer["data"]
        if as_json:
            echo_line(answer) if watch else echo_json(answer)
        elif watch:
            typer.echo("\x1b[2J\x1b[H", nl=False)
        if not as_json:
            typer.echo("\n".join(_lines(actors)))
        if not watch:
            return
        time.sleep(1.0)


@app.command()
def restart(
    path: Annotated[str, typer.Argument(help="The actor's path, as `tree` shows it.")],
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop an actor in order and start it again; its mailbox is kept."""
    answer = Link(settings_of(config, data, http)).post("/system/actors/restart", {"path": path})
    tell(answer, f"{path} is being restarted", as_json=as_json)


@app.command()
def reload(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Apply changes in the gateway's files; show which were applied and which need a restart."""
    link = Link(settings_of(config, data, http))
    try:
        # The reload waits for the registrar, which may wait for the database.
        answer = link.call("POST", "/system/reload", {}, timeout_s=RELOAD_TIMEOUT_S)
    except Unanswered as error:
        fail(str(error), EXIT_CONFIG if error.code == "RELOAD_REFUSED" else error.exit_code)
    if as_json:
        echo_json(answer)
        return
    for line in answer["taken"]:
        typer.echo(f"taken: {line}")
    for line in answer["needs_restart"]:
        typer.echo(f"needs a restart: {line}")
    for line in answer["warnings"]:
        typer.echo(f"warning: {line}", err=True)
    if not answer["taken"] and not answer["needs_restart"]:
        typer.echo("nothing has changed")


@app.command("dead-letters")
def dead_letters(
    config: ConfigOption = None,
    data: DataOption = None,
    http: HttpOption = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    resend: Annotated[int | None, typer.Option(help="Resend the dead letter with this id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show messages that no actor handled, newest first, or resend one."""
    link = Link(settings_of(config, data, http))
    if resend is not None:
        sent = link.post(f"/system/dead-letters/{resend}/resend", {})
        tell(sent, f"{resend} was resent", as_json=as_json)
        return
    answer = link.get(f"/system/dead-letters?limit={limit}")
    if as_json:
        echo_json(answer)
        return
    for letter in answer["data"]:
        at = time.strftime("%H:%M:%S", time.localtime(letter["at"]))
        typer.echo(f"{letter['id']:>6}  {at}  {letter['reason']:<10} {letter['path']}")
        typer.echo(f"        {letter['detail']}")
    typer.echo(f"total: {answer['totals'] or 'none'}")


_MARK = {"running": " ", "stopped": "-", "down": "!", "starting": "+", "stopping": "-"}


def _lines(actors: list[dict[str, Any]]) -> list[str]:
    """The tree, indented; one line for each actor."""
    lines = [
        f"{'actor':<46} {'state':<9} {'restarts':>8} {'waiting':>8} {'handled':>10}  last error"
    ]
    for actor in actors:
        path = actor["path"]
        depth = 0 if path == "/" else path.count("/")
        name = f"{'  ' * depth}{path if path == '/' else path.rpartition('/')[2]}"
        error = (actor["last_error"] or "").splitlines()
        lines.append(
            f"{_MARK.get(actor['state'], '?')}{name:<45} {actor['state']:<9}"
            f" {actor['restarts']:>8} {actor['mailbox_depth']:>8}"
            f" {actor['messages_handled']:>10}  {error[0][:60] if error else ''}".rstrip()
        )
    running = sum(actor["state"] == "running" for actor in actors)
    lines.append(f"{len(actors)} actors, {running} running, on {socket.gethostname()}")
    return lines
