"""`worker` and `agents`: the processes that answer requests and that publish states."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.running import run
from hotswap_stream.cli.terminal.signals import stop_on_signals

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("agents")(agents)


def worker(
    name: Annotated[
        str | None,
        typer.Option(
            help="Unique among the workers, and the same after a restart. Default: <host>-1.", show_default=False
        ),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Serve only this model; may be repeated.", show_default=False)
    ] = None,
) -> None:
    """Answer inference requests until Ctrl-C; weights swap when promotion events arrive."""

    async def main(settings: "Settings") -> None:
        import asyncio
        import socket
        from contextlib import AsyncExitStack

        from hotswap_stream import bootstrap
        from hotswap_stream.home.pulse import Pulse

        stop, called = stop_on_signals(), name or f"{socket.gethostname()}-1"
        started = await bootstrap.build_worker(settings, called, frozenset(model) if model else None)
        pulse, shown = Pulse(settings.home, "worker", called), AsyncExitStack()
        try:
            # Before the start, so that a probe is answered while the log is read and models are loaded.
            await shown.enter_async_context(
                bootstrap.shown_over_http(
                    settings, "worker", called, families=started.families, live=started.stuck, ready=started.unready
                )
            )
            await started.start()
            running = asyncio.create_task(started.run(pulse.beat, on_trouble=pulse.trouble, on_advice=pulse.advise))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            running.cancel()
            stopping.cancel()
        finally:
            pulse.stop()
            await started.stop()
            await shown.aclose()

    run(main, quiet=False)


def agents(
    instance: Annotated[
        str, typer.Option(help="Unique among the agents' processes, and the same after a restart.")
    ] = "1",
) -> None:
    """Run the control agents until Ctrl-C: they publish the registry's states and take commands from a topic."""

    async def main(settings: "Settings") -> None:
        from hotswap_stream import bootstrap
        from hotswap_stream.home.pulse import Pulse

        pulse = Pulse(settings.home, "agents", instance)
        try:
            await bootstrap.run_control_agents(settings, stop_on_signals(), instance=instance, on_well=pulse.beat)
        finally:
            pulse.stop()

    try:
        run(main, quiet=False)
    except typer.Exit as end:
        code = end.exit_code
    else:
        code = 0
    # Faust's threads may outlive a failed stop; they must not keep a process alive that its supervisor should restart.
    os._exit(code)
