"""`api`: serve the HTTP API."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.processes.api_processes import (
    PROCESSES_MAX,
    check_processes,
    keep_api_processes,
    new_event_loop,
)
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("api")(api)


def api(
    host: Annotated[
        str | None, typer.Option(help="Where it listens. Default: HOTSWAP_API_HOST.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port it listens on. Default: HOTSWAP_API_PORT; 0 takes a free one.",
            min=0,
            max=65_535,
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            help="Processes that share the port, for more requests than one core answers. Default: "
            "HOTSWAP_API_PROCESSES.",
            min=1,
            max=PROCESSES_MAX,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the HTTP API until Ctrl-C: queries, commands, the event log, metrics.

    Of several processes, one that dies is started again. Limits are of each.
    """

    async def main(settings: "Settings") -> None:
        import msgspec

        from hotswap_stream import bootstrap
        from hotswap_stream.application.processes.lasting import let_last
        from hotswap_stream.observability.standing_still import ended_if_standing_still

        chosen = msgspec.structs.replace(
            settings,
            api_host=settings.api_host if host is None else host,
            api_port=settings.api_port if port is None else port,
            api_processes=processes or settings.api_processes,
        )
        check_processes(chosen.api_processes)
        if chosen.api_processes > 1:
            await keep_api_processes(chosen, several_started)
            return

        def started(url: str) -> None:
            let_last()
            typer.echo(f"API on {url}; operations: {url}/schema")

        async with ended_if_standing_still():
            await bootstrap.serve_api(chosen, on_started=started)

    def several_started(url: str) -> None:
        typer.echo(f"API on {url}; operations: {url}/schema; limits are of each of its processes")

    run(main, quiet=False, loop_factory=new_event_loop)
