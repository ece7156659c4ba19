"""`broker`: an Apache Kafka on this machine, without Java, Maven or containers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("broker")(broker)


def broker(
    nodes: Annotated[int, typer.Option(help="Number of brokers in the cluster.", min=1, max=9)] = 1,
    port: Annotated[
        list[int] | None,
        typer.Option(
            help="Port of a broker; repeat it for each node. Default: HOTSWAP_BROKER_PORT or free ports.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder to keep the data in. Default: <home>/kafka.", show_default=False)
    ] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="Delete the data at the end.")] = False,
) -> None:
    """Run Apache Kafka until Ctrl-C; the other commands started in this folder find it by themselves."""

    async def main(settings: "Settings") -> None:
        import asyncio

        from hotswap_stream.cli.processes.kept_broker import running_broker
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        stop = stop_on_signals()
        folder = None if temporary else data_dir or settings.home / "kafka"
        async with running_broker(settings, nodes=nodes, ports=port, data_dir=folder) as kafka:
            typer.echo(f"Kafka on {kafka.bootstrap_servers}; Ctrl-C stops it")
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({stopping, kafka.keeping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if kafka.keeping.done():
                kafka.keeping.result()

    run(main, quiet=False)
