"""The common parts of all commands: `--version`, `--json`, and the output of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup

from godkaiser import __version__

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
VERSION = "--version"


class _Command(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _without_version(ctx, args))


class _Group(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[:1] == [VERSION]:
            _without_version(ctx, args)
        return super().parse_args(ctx, args)


def _without_version(ctx: Any, args: list[str]) -> list[str]:
    """The arguments without --version; with it, print the version and exit."""
    before = args[: args.index("--")] if "--" in args else args
    if VERSION in before and not ctx.resilient_parsing:
        typer.echo(__version__)
        raise typer.Exit
    return args


class Console(typer.Typer):
    """A group of commands that all accept --version."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, pretty_exceptions_enable=False, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=_Command, **settings)


def echo_json(answer: Any) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def echo_line(entry: Any) -> None:
    """Print one line of JSON, for a stream of lines."""
    typer.echo(msgspec.json.encode(entry).decode())


def tell(answer: Any, text: str, *, as_json: bool) -> None:
    """Print the answer as JSON for programs, or the text for people."""
    if as_json:
        echo_json(answer)
    else:
        typer.echo(text)
