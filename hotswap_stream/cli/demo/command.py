"""`demo`: the main job on an embedded broker, from training to an emergency rollback, under a stream of requests."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hotswap_stream.cli.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_stream.cli.demo.acts import Acts
    from hotswap_stream.cli.demo.report import DemoReport
    from hotswap_stream.settings import Settings

Part = Literal["promotion", "rollback", "all"]

PARTS: dict[str, tuple[str, ...]] = {
    "promotion": ("first_version", "second_version"),
    "rollback": ("first_version", "bad_version", "damaged_version"),
    "all": ("first_version", "second_version", "bad_version", "damaged_version", "emergency"),
}


def demo(
    part: Annotated[Part, typer.Option(help="Which acts to play.")] = "all",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.", show_default=False)
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests per second.", min=1.0, max=2_000.0)] = 200.0,
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter between the acts.")] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep logs, artifacts and the broker's data in this folder.", show_default=False)
    ] = None,
) -> None:
    """Train on real digits, serve them from Kafka, swap weights under a stream of requests. Exit code 1: it failed."""

    async def main(settings: "Settings") -> "DemoReport":
        async with _home(folder) as home:
            return await _play(_isolated(settings, home), PARTS[part], rate=rate, pause=pause)

    from hotswap_stream.cli.demo.report import print_report, write_report

    folder = None if keep is None else keep.absolute()
    report = run(main)
    typer.echo()
    print_report(report)
    if json_file is not None:
        write_report(report, json_file)
        typer.echo(f"the same as JSON: {json_file}")
    if not report.held:
        raise typer.Exit(FAILED)


def _isolated(settings: "Settings", home: Path) -> "Settings":
    """Settings of the demo's own: it leaves what else is on this machine or cluster alone."""
    import msgspec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        api_port = probe.getsockname()[1]
    return msgspec.structs.replace(
        settings,
        home=home,
        artifacts=None,
        topic_prefix=f"demo-{int(time.time())}",
        api_host="127.0.0.1",
        api_port=api_port,
        api_keys=None,
        log_level="info" if settings.log_level == "info" else settings.log_level,
    )


@asynccontextmanager
async def _home(keep: Path | None) -> AsyncIterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="hotswap-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


async def _play(settings: "Settings", names: tuple[str, ...], *, rate: float, pause: bool) -> "DemoReport":
    from hotswap_stream import bootstrap
    from hotswap_stream.application.audit import verify_log
    from hotswap_stream.cli.demo.acts import MODEL, Acts, examples
    from hotswap_stream.cli.demo.report import make_report
    from hotswap_stream.cli.demo.traffic import Traffic
    from hotswap_stream.cli.stack import running_stack
    from hotswap_stream.cli.train import TrainingBar

    started = time.monotonic()
    typer.echo("Starting broker, worker, agents and API")
    async with running_stack(settings) as stack, bootstrap.open_training(stack.settings, "demo") as trainer:
        typer.echo(f"Kafka on {stack.settings.kafka_bootstrap_servers}, API on {stack.api_url}")
        traffic = Traffic(
            bootstrap.connection(stack.settings).client_options(),
            bootstrap.topics(stack.settings),
            MODEL,
            await asyncio.to_thread(examples),
            partitions=stack.settings.request_partitions,
            rate_per_second=rate,
        )
        with TrainingBar() as bar:
            acts = Acts(stack, trainer, traffic, bar.begin)
            await _play_acts(acts, names, pause=pause)
        await traffic.stop()
        audit = await verify_log(trainer.registry.log)
    first = audit.first
    return make_report(
        traffic,
        acts.done,
        acts.swaps_ms,
        rate=rate,
        seconds=time.monotonic() - started,
        audit=f"{audit.applied} events, chain verified" if first is None else f"BROKEN: {first}",
    )


async def _play_acts(acts: "Acts", names: tuple[str, ...], *, pause: bool) -> None:
    for number, name in enumerate(names, start=1):
        play = getattr(acts, name)
        typer.secho(f"\n{number}. {play.__doc__.splitlines()[0]}", bold=True)
        if pause:
            await asyncio.to_thread(typer.prompt, "Enter to go on", default="", show_default=False)
        act = await play()
        typer.echo(f"   {act.outcome}")
        if not act.held:
            typer.secho("   that is not what should have happened; the acts that follow are left out", fg="red")
            return
