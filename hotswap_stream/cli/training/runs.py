"""`runs`: training runs that any runner does: asked for, listed, shown, cancelled."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, sends_command
from hotswap_stream.cli.terminal.completion import complete_models
from hotswap_stream.cli.terminal.drawing import PlotFile, draw
from hotswap_stream.cli.terminal.options import AsJson, ModelArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_table
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import run_on_plane
from hotswap_stream.cli.training.comparing import compare
from hotswap_stream.cli.training.following import followed
from hotswap_stream.cli.training.run_files import files

if TYPE_CHECKING:
    from hotswap_events.commands import RequestTraining
    from hotswap_events.training.events import AfterTraining, ParameterValue
    from hotswap_stream.application.training.view import TrainingRun

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")]
StatusName = Literal["requested", "claimed", "running", "succeeded", "failed", "cancelled"]
AfterName = Literal["nothing", "shadow", "canary", "ask"]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Training runs: asked for, done by any runner, cancelled.", no_args_is_help=True)
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("request")(request)
    group.command("cancel")(cancel)
    group.command("follow")(follow)
    group.command("files")(files)
    group.command("compare")(compare)
    app.add_typer(group, name="runs")


@sends_command
def request(
    fields: Fields,
    trainer: Annotated[str, typer.Option(help="Name of the trainer.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A parameter: a number, true, false, null or text.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Digest or name of a dataset; repeat for more.", show_default=False)
    ] = None,
    after: Annotated[AfterName, typer.Option(help="What becomes of a version that passes validation.")] = "nothing",
    run: Annotated[str | None, typer.Option("--run", help="Id of the run. Default: a fresh one.")] = None,
    retries: Annotated[int, typer.Option(help="How often to ask again if a runner is lost.", min=0, max=10)] = 0,
    seconds_max: Annotated[
        int | None, typer.Option(help="How long it may run. Default: as its runner says.", min=1, show_default=False)
    ] = None,
) -> CommandToSend:
    """Ask for a training run, which whichever runner has the trainer does. With a new model's name it begins it."""
    return requested(
        fields,
        trainer,
        parameters=parse_parameters(set_ or []),
        datasets=tuple(dataset or ()),
        after=after,
        run_id=run,
        retries=retries,
        seconds_max=seconds_max,
    )


def requested(
    fields: Fields,
    trainer: str,
    *,
    parameters: "dict[str, ParameterValue]",
    datasets: tuple[str, ...],
    after: "AfterTraining",
    run_id: str | None,
    retries: int,
    seconds_max: int | None,
) -> "RequestTraining":
    """Return the command that asks for a run, under a fresh id where none is given.

    Raises:
        typer.BadParameter: A trainer that comes along does not take these parameters.
    """
    import uuid

    from hotswap_events.commands import RequestTraining
    from hotswap_stream.application.trainers.built_in import wrong_parameters

    if wrong := wrong_parameters(trainer, parameters):
        raise typer.BadParameter(wrong, param_hint="--set")
    return RequestTraining(
        run_id=run_id or f"run-{uuid.uuid4().hex[:12]}",
        trainer=trainer,
        parameters=parameters,
        datasets=datasets,
        after=after,
        retries=retries,
        seconds_max=seconds_max,
        **fields,
    )


@sends_command
def cancel(fields: Fields, run: RunArgument) -> CommandToSend:
    """Stop a run, wherever it is. It is over at once; its runner ends what it started."""
    from hotswap_events.commands import CancelTraining

    return CancelTraining(run_id=run, **fields)


def list_all(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="Of this model. Default: of all.", autocompletion=complete_models),
    ] = None,
    status: Annotated[StatusName | None, typer.Option(help="Only those of this status.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Show training runs, newest first."""
    found = ask(questions.runs(model, status), as_of=None, as_json=as_json)
    if as_json:
        print_json(found, named_by=("run_id",), listed="runs")
        return
    print_table(
        ("run", "model", "status", "trainer", "version", "verdict", "runner", "asked by", "detail"),
        (
            (
                run.run_id,
                run.model_name,
                run.status,
                run.trainer,
                run.model_version,
                run.verdict,
                run.runner,
                run.requested_by,
                _short(run.detail),
            )
            for run in found.runs
        ),
        optional=("asked by", "runner", "detail"),
    )


def show(
    model: ModelArgument,
    run: RunArgument,
    plot: Annotated[bool, typer.Option("--plot", help="Show the figures of its epochs as curves, too.")] = False,
    svg: PlotFile = None,
    log: Annotated[bool, typer.Option("--log", help="Show the end of its trainer's log, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one training run: who asked for what, who does it, and what came of it."""
    found = ask(questions.run(model, run), as_of=None, as_json=as_json)
    progress = run_on_plane(lambda plane: plane.training_progress(found)) if plot or log or svg is not None else None
    if svg is not None:
        from hotswap_stream.application.training.comparison import run_svg

        draw(run_svg(found, progress), svg)
    if as_json:
        print_json(found, named_by=("run_id",))
        return
    print_run(found)
    if not (plot or log):
        return
    from hotswap_stream.application.descriptions.text import printable
    from hotswap_stream.cli.training.curves import print_curves

    if plot:
        typer.echo()
        print_curves(progress)
    if log and progress is not None and progress.log is not None:
        typer.echo()
        for line in progress.log.splitlines():
            typer.echo(printable(line))


def follow(
    model: ModelArgument,
    run: RunArgument,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait, at most.", min=0, show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Follow a training run from any machine until it ends. The exit code says how.

    0: a version came of it, and did not fail validation. 1: none did, or it failed. 124: --timeout is over.
    """
    code = run_on_plane(lambda plane: followed(plane, model, run, timeout=timeout, as_json=as_json), waiting_for=None)
    raise typer.Exit(code)


def print_run(run: "TrainingRun") -> None:
    """Print what there is to say of a run."""
    from hotswap_stream.application.descriptions.training import after_text

    parameters = ", ".join(f"{name}={json.dumps(value)}" for name, value in run.parameters.items())
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in run.metrics.items())
    facts: dict[str, Any] = {
        "run": run.run_id,
        "status": run.status if run.detail is None else f"{run.status}: {_short(run.detail, 2_000)}",
        "trainer": run.trainer,
        "parameters": parameters or None,
        "datasets": ", ".join(run.datasets) or None,
        "then": None if run.after is None else after_text(run.after),
        "asked by": run.requested_by,
        "reason": run.reason,
        "runner": run.runner,
        "asked at": run.requested_at,
        "started at": run.started_at,
        "ended at": run.ended_at,
        "version": run.model_version,
        "verdict": run.verdict,
        "metrics": metrics or None,
    }
    print_facts({name: value for name, value in facts.items() if value is not None})


def parse_parameters(pairs: list[str]) -> "dict[str, ParameterValue]":
    """Return what stands in `name=value`: JSON where it is a number, true, false, null or a text in quotes; else text.

    Raises:
        typer.BadParameter: A pair is none, or its value is a list or an object.
    """
    found: dict[str, ParameterValue] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if isinstance(value, list | dict):
            raise typer.BadParameter(f"{name} is a list or an object; a number or a text is needed", param_hint="--set")
        found[name] = value
    return found


def _short(text: str | None, most: int = 80) -> str | None:
    from hotswap_stream.application.descriptions.text import printable

    return None if text is None else printable(text)[:most]
