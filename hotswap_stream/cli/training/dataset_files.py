"""`dataset add`: rows for training that somebody has in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import Actor, AsJson, CommandId, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_json, print_result
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_stream.application.datasets.view import BuiltDataset
    from hotswap_stream.settings import Settings


def add(
    model: ModelArgument,
    actor: Actor,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Arrays (.npz, .safetensors, Parquet) named as the model's inputs, and 'labels', 'target' or "
            "'relevance'.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="The name stands for this dataset from now on.", show_default=False)
    ] = None,
    reason: Reason = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Keep a file of rows as an artifact, and record it as a dataset. With a new model's name it begins the model.

    Rows of the validation set are not looked for in it: who hands a file in answers for that.
    """
    fields = command_fields(model, actor=actor, reason=reason, command_id=command_id)

    async def main(settings: "Settings") -> "BuiltDataset":
        from hotswap_stream import bootstrap

        async with bootstrap.open_registry(settings) as registry:
            return await bootstrap.add_dataset(settings, registry, file, name, **fields)

    added = run(main)
    if added.dataset is None or not as_json:
        print_result(added.result, as_json=as_json)
    if added.dataset is not None and as_json:
        print_json(added.dataset)
    elif added.dataset is not None:
        typer.echo(f"{added.dataset.rows:,} rows, {added.dataset.artifact_digest}")
