"""`trainers`: the process that does training runs which were asked for."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import FAILED, run
from hotswap_stream.cli.terminal.signals import stop_on_signals

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings

    Shown = dict[str, tuple[str, ...]]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trainers")(trainers)
    app.command("do-run")(do_run)


def trainers(
    name: Annotated[
        str | None,
        typer.Option(help="Of this runner, for the log. Default: <host>-1.", show_default=False),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the trainers that this machine has, and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do training runs that are asked for, until Ctrl-C; several such processes share them."""
    if show:
        _show(as_json=as_json)
        return

    async def main(settings: "Settings") -> None:
        import asyncio
        import socket

        from hotswap_stream import bootstrap
        from hotswap_stream.home.pulse import Pulse

        stop, called = stop_on_signals(), name or f"{socket.gethostname()}-1"
        pulse = Pulse(settings.home, "trainers", called)
        try:
            async with bootstrap.open_runner(settings, called) as runner:
                running = asyncio.create_task(runner.run(pulse.beat))
                stopping = asyncio.create_task(stop.wait())
                try:
                    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    if running.done():
                        running.result()
                finally:
                    running.cancel()
                    stopping.cancel()
                    await asyncio.gather(running, stopping, return_exceptions=True)
        finally:
            pulse.stop()

    run(main, quiet=False)


def do_run() -> None:
    """Do one run that a runner gave away, where HOTSWAP_RUN_URL and HOTSWAP_RUN_KEY say: in a Job, or by a CI.

    Exit code 0: it ended well. 1: it failed, which was reported, or nothing of it is taken any more.
    """

    async def main(settings: "Settings") -> bool:
        import asyncio

        from hotswap_stream import bootstrap

        stop = stop_on_signals()
        running = asyncio.create_task(bootstrap.do_reported_run(settings))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else False
        finally:
            running.cancel()
            stopping.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)

    if not run(main, quiet=False, needs_cluster=False, heeds_context=False):
        raise typer.Exit(FAILED)


def _show(*, as_json: bool) -> None:
    async def main(settings: "Settings") -> "tuple[Shown, Shown, dict[str, str]]":
        from hotswap_stream import bootstrap

        return *(await bootstrap.trainers_with_parameters(settings)), bootstrap.outside_trainers(settings)

    here, parameters, outside = run(main, needs_cluster=False)
    rows = [
        {
            "name": name,
            "parameters": ", ".join(parameters.get(name, ())),
            "command": None if name in outside or here[name][-1] == "run-trainer" else " ".join(here[name]),
            "done_by": outside.get(name, "this machine"),
        }
        for name in sorted({*here, *outside})
    ]
    if as_json:
        print_json(rows, named_by=("name",))
        return
    print_table(
        ("trainer", "parameters", "done by", "command"),
        ((row["name"], row["parameters"], row["done_by"], row["command"]) for row in rows),
    )
