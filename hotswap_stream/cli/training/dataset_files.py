"""`dataset add`: rows for training that somebody has in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import Actor, AsJson, CommandId, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_json, print_result
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_stream.application.datasets.view import BuiltDataset, DatasetView
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.cli.planes.port import Question
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

    async def of_api(api: "ApiPlane") -> "BuiltDataset":
        return await _added_by_api(api, file, name, fields)

    added = run_by_api_or(main, of_api)
    if added.dataset is None or not as_json:
        print_result(added.result, as_json=as_json)
    if added.dataset is not None and as_json:
        print_json(added.dataset)
    elif added.dataset is not None:
        typer.echo(f"{added.dataset.rows:,} rows, {added.dataset.artifact_digest}")


def dataset_question(model: str, named: str) -> "Question[DatasetView]":
    """Return: what is known of a dataset?"""
    from hotswap_stream.application.datasets.view import DatasetView, find_dataset
    from hotswap_stream.cli.planes.port import Question

    return Question(
        lambda streams: find_dataset(streams, model, named),
        lambda api: api.get(f"/api/models/{model}/datasets/{named}", DatasetView),
    )


async def _added_by_api(api: "ApiPlane", file: Path, name: str | None, fields: dict[str, Any]) -> "BuiltDataset":
    """Upload the rows as the artifact that they are, and have the API record it."""
    import asyncio
    import tempfile

    from hotswap_events.commands import CommandResult, Refusal
    from hotswap_stream import bootstrap
    from hotswap_stream.application.datasets.view import BuiltDataset
    from hotswap_stream.cli.registry.register_by_api import uploaded
    from hotswap_stream.client.http_calls import model_path
    from hotswap_stream.settings import load_settings

    model = fields["model_name"]
    content = await asyncio.to_thread(bootstrap.packed_set, load_settings(), file)
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "set.safetensors"
        packed.write_bytes(content)
        stored = await uploaded(api, packed, {})
    if isinstance(stored, Refusal):
        result = CommandResult(command_id=fields["command_id"], status="refused", model_name=model, refusal=stored)
        return BuiltDataset(result=result, dataset=None)
    body = {"artifact_digest": stored, "dataset_name": name, "source": file.name[:512]}
    result = await api.order(f"{model_path(model)}/datasets/stored", body, fields)
    if result.refusal is not None:
        return BuiltDataset(result=result, dataset=None)
    found = await api.ask(dataset_question(model, stored))
    return BuiltDataset(result=result, dataset=None if isinstance(found, Refusal) else found)
