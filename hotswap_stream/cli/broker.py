"""`broker`: an Apache Kafka on this machine, without Java, Maven or containers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.running import run

if TYPE_CHECKING:
    from hotswap_stream.broker import BrokerProgress, EmbeddedKafka
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("broker")(broker)


def broker(
    nodes: Annotated[int, typer.Option(help="Brokers in the cluster.", min=1, max=9)] = 1,
    port: Annotated[
        list[int] | None,
        typer.Option(
            help="Port of a broker, once a node. Default: HOTSWAP_BROKER_PORT or free ones.", show_default=False
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder to keep the data in. Default: <home>/kafka.", show_default=False)
    ] = None,
    temporary: Annotated[bool, typer.Option("--temporary", help="Throw the data away at the end.")] = False,
) -> None:
    """Run Apache Kafka until Ctrl-C; the other commands started in this folder find it by themselves."""

    async def main(settings: "Settings") -> None:
        from hotswap_stream.cli.worker import stop_on_signals

        stop = stop_on_signals()
        folder = None if temporary else data_dir or settings.home / "kafka"
        async with running_broker(settings, nodes=nodes, ports=port, data_dir=folder) as kafka:
            typer.echo(f"Kafka on {kafka.bootstrap_servers}; Ctrl-C stops it")
            await stop.wait()

    run(main, quiet=False)


@asynccontextmanager
async def running_broker(
    settings: "Settings", *, nodes: int = 1, ports: list[int] | None = None, data_dir: Path | None = None
) -> AsyncIterator["EmbeddedKafka"]:
    """An embedded broker that other commands with the same home find. ConfigurationError if one runs already."""
    from hotswap_stream import bootstrap
    from hotswap_stream.broker import KAFKA_RELEASE, EmbeddedKafka
    from hotswap_stream.errors import ConfigurationError

    already = bootstrap.running_broker(settings)
    if already is not None:
        raise ConfigurationError(
            f"a broker of {settings.home} runs already on {already.bootstrap_servers} (process {already.pid})"
        )
    if ports is None and settings.broker_port is not None:
        ports = [settings.broker_port + number for number in range(nodes)]
    async with EmbeddedKafka(
        nodes,
        data_dir,
        settings.broker_heap_mib_max,
        ports,
        ProgressPrinter(),
        cache_dir=settings.cache / f"kafka-{KAFKA_RELEASE}",
    ) as kafka:
        bootstrap.announce_broker(settings, kafka.bootstrap_servers, data_dir)
        try:
            yield kafka
        finally:
            bootstrap.withdraw_broker(settings)


class ProgressPrinter:
    """Prints the broker's progress: each text once, and each tenth of a stage."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None

    def __call__(self, event: "BrokerProgress") -> None:
        """Print one event, if it says something new."""
        tenth = -1 if event.fraction is None else int(event.fraction * 10)
        if (event.stage, tenth) != self._last:
            self._last = event.stage, tenth
            share = "" if event.fraction is None else f" {event.fraction:.0%}"
            typer.echo(f"{event.text}{share}", err=True)
