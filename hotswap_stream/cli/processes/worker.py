"""`worker` and `agents`: the processes that answer requests and that publish states."""

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from hotswap_stream.cli.terminal.running import fail_with, prepared_settings, run
from hotswap_stream.cli.terminal.signals import EndWithInput, end_at_once, stop_on_signals

if TYPE_CHECKING:
    import asyncio

    from hotswap_stream.settings import Settings

_Result = TypeVar("_Result")

WISH_POLL_SECONDS = 0.2
DRAIN_SECONDS_MAX = 60.0
SWITCH_SECONDS = 0.0005
"""A thread that has requests to answer waits for one that runs Python, such as an import, for so long at a time; by
default it would be ten times that."""


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
    drain: Annotated[
        bool,
        typer.Option(
            "--drain",
            help="Start none: end the running worker of that name and home, and return when others answer for it.",
        ),
    ] = False,
    end_with_input: EndWithInput = False,
) -> None:
    """Answer inference requests until Ctrl-C; weights swap when promotion events arrive.

    A worker that ends, by Ctrl-C, SIGTERM or --drain, answers until others have its partitions.
    """
    if drain:
        _drain(name)
        return

    async def main(settings: "Settings") -> None:
        import asyncio
        import sys
        from contextlib import AsyncExitStack

        from hotswap_stream import bootstrap
        from hotswap_stream.application.processes.lasting import lasting, let_last
        from hotswap_stream.home.pulse import Pulse
        from hotswap_stream.observability.standing_still import ended_if_standing_still
        from hotswap_stream.observability.tracing import tracing_to

        stop, called = stop_on_signals(with_input=end_with_input), name or _default_name()
        sys.setswitchinterval(SWITCH_SECONDS)
        pulse, shown = Pulse(settings.home, "worker", called), AsyncExitStack()
        await shown.enter_async_context(ended_if_standing_still())
        stopping = asyncio.create_task(_wished(stop, lambda: pulse.asked_to_end))

        async def unless_told(work: "Coroutine[Any, Any, _Result]") -> "_Result":
            """Return its result. Where the end is wished before, the process ends: nothing is answered yet."""
            task = asyncio.create_task(work)
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                pulse.stop()
                end_at_once()
            return await task

        with lasting():
            # First of all: others answer while this one reads the log and loads its models.
            await unless_told(bootstrap.put_out_former_self(settings, called))
            started = await unless_told(bootstrap.build_worker(settings, called, frozenset(model) if model else None))
        shown.enter_context(tracing_to(settings.otlp_url, "worker"))
        try:
            # Before the start, so that a probe is answered while the log is read and models are loaded.
            await shown.enter_async_context(
                bootstrap.shown_over_http(
                    settings, "worker", called, families=started.families, live=started.stuck, ready=started.unready
                )
            )
            await unless_told(started.start())
            let_last()
            running = asyncio.create_task(started.run(pulse.beat, on_trouble=pulse.trouble, on_advice=pulse.advise))
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            running.cancel()
        finally:
            stopping.cancel()
            try:
                await started.stop()
                await shown.aclose()
            finally:
                pulse.stop()
        # A thread may be importing torch, for seconds, and nobody needs that any more.
        end_at_once()

    run(main, quiet=False)


def _default_name() -> str:
    import socket

    return f"{socket.gethostname()}-1"


async def _wished(stop: "asyncio.Event", asked_to_end: Callable[[], bool]) -> None:
    """Return when a signal came, or somebody asked for the end in another way."""
    import asyncio

    while not (stop.is_set() or asked_to_end()):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), WISH_POLL_SECONDS)


def _drain(name: str | None) -> None:
    import time

    from hotswap_stream.errors import HotswapError
    from hotswap_stream.home.pulse import ask_to_end, has_ended

    home, called = prepared_settings(quiet=True).home, name or _default_name()
    try:
        ask_to_end(home, "worker", called)
        give_up_s = time.monotonic() + DRAIN_SECONDS_MAX
        while not has_ended(home, "worker", called):
            if time.monotonic() > give_up_s:
                raise HotswapError(f"worker {called!r} was asked to end, and has not within {DRAIN_SECONDS_MAX:g} s")
            time.sleep(WISH_POLL_SECONDS)
    except HotswapError as error:
        fail_with(error)
    except OSError as error:
        fail_with(HotswapError(f"worker {called!r} cannot be asked to end: {error}"))
    typer.echo(f"worker {called!r} has ended")


def agents(
    instance: Annotated[
        str, typer.Option(help="Unique among the agents' processes, and the same after a restart.")
    ] = "1",
) -> None:
    """Run the control agents until Ctrl-C: they publish the registry's states and take commands from a topic."""

    async def main(settings: "Settings") -> None:
        from hotswap_stream import bootstrap
        from hotswap_stream.home.pulse import Pulse
        from hotswap_stream.observability.standing_still import ended_if_standing_still

        pulse = Pulse(settings.home, "agents", instance)
        try:
            async with ended_if_standing_still():
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
