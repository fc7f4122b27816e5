"""`godkaiser api`: what the REST API has, from the records of its endpoints; no gateway is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from godkaiser.cli.command_line import Console, JsonOption, echo_json
from godkaiser.cli.exits import EXIT_USAGE, fail

app = Console()
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@app.command()
def api(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="METHOD and PATH of one endpoint, or a part of a path.", metavar="[METHOD] [PATH]"),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """List the endpoints of the REST API; with METHOD and PATH, tell all about one."""
    # Imported here: the other commands need not wait for all that serves the API.
    from godkaiser.http.endpoints import BY_KEY
    from godkaiser.http.reference import help_of, role_of

    wanted = words or []
    method = wanted[0].upper() if wanted and wanted[0].upper() in METHODS else ""
    path = (
        wanted[-1].removeprefix("/api/v1") if wanted and not (method and len(wanted) == 1) else ""
    )
    found = [
        endpoint
        for endpoint in BY_KEY.values()
        if (not method or endpoint.method == method) and path in endpoint.path
    ]
    exact = BY_KEY.get((method, path))
    if exact is not None:
        found = [exact]
    if not found:
        fail(
            f"{' '.join(wanted)}: there is no such endpoint; `godkaiser api` lists them", EXIT_USAGE
        )
    if as_json:
        echo_json(
            [
                {
                    "method": one.method, "path": one.path, "role": role_of(one), "says": one.says,
                }
                for one in found
            ]
        )  # fmt: skip
    elif exact is not None:
        typer.echo(help_of(exact))
    else:
        longest = max(len(one.path) for one in found)
        for one in found:
            typer.echo(f"{one.method:<6} {one.path:<{longest}}  {role_of(one):<8}  {one.says}")
