"""`healthy`: whether a worker or the agents of this machine can do their work, for checks of containers."""

import socket
from typing import Annotated, Literal

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json
from hotswap_stream.cli.terminal.running import fail_with, prepared_settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("healthy")(healthy)


def healthy(
    kind: Annotated[Literal["worker", "agents", "trainers"], typer.Argument(help="Which process.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option(
            help="The worker's name (default: <host>-1), or the agents' instance (default: 1).", show_default=False
        ),
    ] = None,
    seconds_max: Annotated[
        float | None,
        typer.Option(
            help="Seconds ago, at most, that it must have been able to work. Default: 20.", min=1, show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Exit with 0 if a worker, or the agents, with this home can do their work, else with 1 and why not.

    No process is asked: each leaves a sign in the home folder about once a second, while it can do its work.
    """
    from hotswap_stream.errors import HotswapError
    from hotswap_stream.home.pulse import AGE_SECONDS_MAX, check

    called = name or (f"{socket.gethostname()}-1" if kind == "worker" else "1")
    try:
        sign = check(
            prepared_settings(quiet=True).home,
            kind,
            called,
            age_seconds_max=AGE_SECONDS_MAX if seconds_max is None else seconds_max,
        )
    except HotswapError as error:
        fail_with(error)
    if as_json:
        print_json({"kind": kind, "name": called, "age_seconds": round(sign.age_s, 3), "advice": sign.advice})
        return
    typer.echo(f"{kind} {called!r} could do its work {sign.age_s:.1f} s ago")
    if sign.advice is not None:
        typer.echo(f"to be mended: {sign.advice}")
