"""Plays the demo's acts on a stack of its own."""

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import typer

from hotswap_stream import bootstrap
from hotswap_stream.application.audit.audit import verify_log
from hotswap_stream.application.keys.token import new_token
from hotswap_stream.cli.demo.publish_acts import PublishActs
from hotswap_stream.cli.demo.report import Act, DemoReport, make_report
from hotswap_stream.cli.demo.rollout_acts import RolloutActs
from hotswap_stream.cli.demo.scene import ACTOR, MODEL, Scene
from hotswap_stream.cli.demo.traffic import Traffic
from hotswap_stream.cli.demo.version_acts import VersionActs, examples
from hotswap_stream.cli.page import page_address
from hotswap_stream.cli.processes.stack import Stack, running_stack
from hotswap_stream.cli.terminal.signals import stop_on_signals
from hotswap_stream.cli.training.train import TrainingBar
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings


def isolated(settings: Settings, home: Path) -> Settings:
    """Return settings of the demo's own: it leaves what else is on this machine or cluster alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        api_port = probe.getsockname()[1]
    key = new_token().text
    return msgspec.structs.replace(
        settings,
        home=home,
        artifacts=None,
        topic_prefix=f"demo-{int(time.time())}",
        api_host="127.0.0.1",
        api_port=api_port,
        api_keys=f"{ACTOR}:{key}",
        api_key=key,
        api_open=None,
        api_insecure_no_keys=False,
        # All its workers have torch, and people are watching.
        graphs_exported=False,
    )


@asynccontextmanager
async def home_folder(keep: Path | None) -> AsyncIterator[Path]:
    """Open the folder to keep, or one that is gone at the end, unless it holds the logs of what could not run."""
    if keep is not None:
        yield keep
        return
    folder = Path(tempfile.mkdtemp(prefix="hotswap-demo-"))
    failed = False
    try:
        yield folder
    except HotswapError:
        failed = True
        raise
    finally:
        if not failed:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def play(settings: Settings, names: tuple[str, ...], *, rate: float, pause: bool, stay: bool) -> DemoReport:
    """Start everything, play the named acts, stop everything, and report what was seen.

    Args:
        settings: The demo's own.
        names: Methods of `VersionActs`, `RolloutActs` and `PublishActs`, in the order to play.
        rate: Requests per second.
        pause: Wait for Enter before each act.
        stay: At the end go on with requests, so that people can look at it in the browser, until they press Ctrl-C.
    """
    started = time.monotonic()
    typer.echo("Starting broker, worker, agents and API")
    async with running_stack(settings) as stack, bootstrap.open_training(stack.settings, "demo") as trainer:
        typer.echo(f"Kafka on {stack.settings.kafka_bootstrap_servers}, page and API on {stack.api_url}")
        traffic = Traffic(
            bootstrap.connection(stack.settings).client_options(),
            bootstrap.topics(stack.settings),
            MODEL,
            await asyncio.to_thread(examples),
            partitions=stack.settings.request_partitions,
            rate_per_second=rate,
            tags=bootstrap.answer_tags(stack.settings),
        )
        try:
            with TrainingBar() as bar:
                scene = Scene(stack, trainer, traffic, on_progress=bar.begin, tell=_tell)
                await _play_acts(scene, names, pause=pause)
            if stay:
                await _stay(stack)
            await traffic.stop()
        finally:
            await traffic.close()
        audit = await verify_log(trainer.registry.log)
    first = audit.first
    return make_report(
        traffic,
        scene.done,
        scene.swaps_ms,
        rate=rate,
        seconds=time.monotonic() - started,
        audit=f"{audit.applied} events, chain verified" if first is None else f"BROKEN: {first}",
    )


async def _stay(stack: Stack) -> None:
    """Wait for Ctrl-C, while requests and answers go on."""
    stop = stop_on_signals()
    typer.secho("\nAll goes on, until Ctrl-C. Look at it in the browser:", bold=True)
    typer.echo(f"   {page_address(stack.settings)}  sign in with {stack.settings.api_key}")
    await stop.wait()


def _tell(line: str) -> None:
    typer.echo(f"   {line}")


async def _play_acts(scene: Scene, names: tuple[str, ...], *, pause: bool) -> None:
    players = VersionActs(scene), RolloutActs(scene), PublishActs(scene)
    for number, name in enumerate(names, start=1):
        play_act: Callable[[], Awaitable[Act]] = next(
            getattr(player, name) for player in players if hasattr(player, name)
        )
        typer.secho(f"\n{number}. {(play_act.__doc__ or name).splitlines()[0]}", bold=True)
        if pause:
            await asyncio.to_thread(typer.prompt, "Enter to go on", default="", show_default=False)
        scene.begin_act()
        act = await play_act()
        typer.echo(f"   {act.outcome}")
        if not act.held:
            typer.secho("   that is not what should have happened; the acts that follow are left out", fg="red")
            return
