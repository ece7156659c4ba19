"""`export`: a version as an MLflow model directory."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson, ModelArgument, VersionArgument
from hotswap_stream.cli.terminal.printing import print_json, refuse
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_events.commands import Refusal
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)


def export(
    model: ModelArgument,
    version: VersionArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that is not there yet, or is empty.")],
    as_json: AsJson = False,
) -> None:
    """Write a version as an MLflow model directory, which `mlflow.pyfunc.load_model` reads. Graphs only."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"{folder} is there already, and not an empty folder", param_hint="FOLDER")

    async def main(settings: "Settings") -> "Refusal | None":
        from hotswap_events.commands import Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.registry.queries import find_version

        async with bootstrap.open_registry(settings) as registry:
            found = find_version(registry.fold.streams, model, version)
        if isinstance(found, Refusal):
            return found
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            await bootstrap.model_export(bootstrap.artifact_store(settings)).export(model, found, folder)
        except BaseException:
            # It was not there, or it was empty.
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return None

    refusal = run(main)
    if refusal is not None:
        raise refuse(refusal, as_json=as_json)
    if as_json:
        print_json({"model_name": model, "model_version": version, "folder": str(folder)})
    else:
        typer.secho(f"{model} {version}: written to {folder}", fg="green")
