"""`run-training`: what the API starts for a training run; reads the order from standard input."""

import sys
from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_stream.application.training.trainer import TrainingReport
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command, hidden from the help: it is no command for people."""
    app.command("run-training", hidden=True)(run_training)


def run_training() -> None:
    """Run the training ordered on standard input to its verdict; SIGTERM cancels it, with an event."""

    async def main(settings: "Settings") -> "TrainingReport":
        import asyncio

        import msgspec

        from hotswap_stream import bootstrap
        from hotswap_stream.application.training.children import OrderedRun
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        cancel = stop_on_signals()
        order = msgspec.json.decode(await asyncio.to_thread(sys.stdin.buffer.readline), type=OrderedRun)
        async with bootstrap.open_training(settings, "api") as trainer:
            return await trainer.train(order.spec, actor=order.spec.created_by, reason=order.reason, cancel=cancel)

    if not run(main, heeds_context=False).ended_well:
        raise typer.Exit(FAILED)
