"""`run-trainer`: what a runner starts for a run of a trainer in Python; reads the order from standard input."""

import sys
from typing import TYPE_CHECKING, Any

import typer

from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from pathlib import Path

    from hotswap_stream.application.artifacts.trial import ModelOptions
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command, hidden from the help: it is no command for people."""
    app.command("run-trainer", hidden=True)(run_trainer)


def run_trainer() -> None:
    """Do the run ordered on standard input; each line on standard output is one of the protocol."""
    from hotswap_stream.application.processes.owned import claim_stdout, end_with_owner, leave, write_line

    lines = claim_stdout()

    async def main(settings: "Settings") -> bool:
        import msgspec

        from hotswap_stream import bootstrap
        from hotswap_stream.application.trainers.protocol import TrainerOrder

        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=TrainerOrder)
        end_with_owner()
        return bootstrap.run_trainer(settings, order, lambda line: write_line(lines, line), _converted)

    well = run(main, heeds_context=False, needs_cluster=False)
    # A library's threads must not hold up the end.
    leave(0 if well else FAILED)


def _converted(
    model: Any, example: Any, labels: tuple[str, ...], folder: "Path"
) -> "tuple[str, ModelOptions, dict[str, str]]":
    """Make an ONNX graph of a model, compared with it on the example; return its file's name and what it cannot say."""
    import shutil

    from hotswap_stream.client.publishing.preparing import prepared
    from hotswap_stream.client.publishing.wishes import Wishes

    with prepared(model, Wishes(example=example, labels=labels or None)) as made:
        name = "model.onnx" if made.file.suffix == ".onnx" else made.file.name
        shutil.copyfile(made.file, folder / name)
        return name, made.options, made.environment
