"""`runs compare`: training runs beside each other."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.drawing import PlotFile, draw
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_json, print_table, refuse
from hotswap_stream.cli.terminal.running import run_on_plane

if TYPE_CHECKING:
    from hotswap_stream.application.training.comparison import RunComparison
    from hotswap_stream.cli.planes.port import ControlPlane

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of two to eight runs.")]


def compare(model: ModelArgument, runs: Runs, svg: PlotFile = None, as_json: AsJson = False) -> None:
    """Show training runs beside each other: parameters, datasets, metrics; with --svg their epochs as curves."""
    from hotswap_stream.application.training.comparison import comparison_svg, wrong_comparison

    if (wrong := wrong_comparison(runs)) is not None:
        raise refuse(wrong, as_json=as_json)
    found = run_on_plane(lambda plane: _compared(plane, model, runs, as_json=as_json))
    if svg is not None:
        draw(comparison_svg(found), svg)
    if as_json:
        print_json(found, named_by=("name",))
        return
    _print(found)


async def _compared(plane: "ControlPlane", model: str, run_ids: list[str], *, as_json: bool) -> "RunComparison":
    from hotswap_events.commands import Refusal
    from hotswap_stream.application.training.comparison import compared

    runs, heard = [], {}
    for run_id in run_ids:
        found = await plane.ask(questions.run(model, run_id))
        if isinstance(found, Refusal):
            raise refuse(found, as_json=as_json)
        runs.append(found)
        heard[run_id] = None if found.runner is None else await plane.training_progress(found)
    return compared(model, runs, heard)


def _print(found: "RunComparison") -> None:
    rows: list[tuple[Any, ...]] = [
        ("status", *(run.status for run in found.runs)),
        ("trainer", *(run.trainer for run in found.runs)),
        ("version", *(run.model_version for run in found.runs)),
        ("verdict", *(run.verdict for run in found.runs)),
        ("seconds", *(None if run.seconds is None else f"{run.seconds:.1f}" for run in found.runs)),
    ]
    if not found.same_datasets:
        rows.append(("datasets", *(", ".join(each[:19] for each in run.datasets) or None for run in found.runs)))
    for kind in (found.parameters, found.metrics):
        rows += [(f"{'*' if each.differs else ' '} {_text(each.name)}", *map(_text, each.values)) for each in kind]
    print_table(("", *(run.run_id for run in found.runs)), rows)
    typer.echo("* differs")


def _text(value: object) -> str | None:
    from hotswap_stream.application.descriptions.text import printable

    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))[:60]
