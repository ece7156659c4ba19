"""`runs files`: what a run left beside its artifact, listed and saved."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import fail, run_on_plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from hotswap_events.training.progress import RunFile


def files(
    model: ModelArgument,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")],
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only this file; repeat for more.", show_default=False)
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the files into this folder, which is made.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the files that a run left beside its artifact (plots, tables, its log), or save them.

    Those of a model's newest runs are kept. What is there already in the folder is not written over.
    """
    found = ask(questions.run(model, run), as_of=None, as_json=as_json)
    progress = run_on_plane(lambda plane: plane.training_progress(found))
    kept = () if progress is None or progress.kept is None else progress.kept.files
    chosen = _chosen(kept, name)
    if save is not None:
        _save(chosen, save, lambda each: run_on_plane(lambda plane: plane.run_file(found, each)))
    if as_json:
        print_json(list(chosen), named_by=("name",))
        return
    print_table(("file", "bytes", "digest"), ((each.name, each.size_bytes, each.digest) for each in chosen))


def _chosen(kept: "tuple[RunFile, ...]", names: list[str] | None) -> "tuple[RunFile, ...]":
    unknown = {*(names or ())} - {each.name for each in kept}
    if unknown:
        there = ", ".join(each.name for each in kept) or "none that are kept"
        fail(f"the run has no file {sorted(unknown)[0][:128]!r}; it has {there}")
    return tuple(each for each in kept if not names or each.name in names)


def _save(chosen: "tuple[RunFile, ...]", folder: Path, fetch: "Callable[[str], bytes]") -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in chosen:
            # The name is a plain one: the record that it stands in has no other.
            with (folder / each.name).open("xb") as opened:
                opened.write(fetch(each.name))
    except FileExistsError as error:
        fail(f"{error.filename} is there already")
    except OSError as error:
        fail(f"the files cannot be written: {error}")
