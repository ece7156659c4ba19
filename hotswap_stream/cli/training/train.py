"""`train`, `generate-data`: versions from data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, ModelArgument, Reason, parse_pairs
from hotswap_stream.cli.terminal.running import FAILED, fail, run

if TYPE_CHECKING:
    from hotswap_stream.application.training.evaluation import Evaluation, SetEvaluation
    from hotswap_stream.application.training.runs import OnProgress, TrainingProgress, TrainingSpec
    from hotswap_stream.application.training.trainer import TrainingReport
    from hotswap_stream.settings import Settings

AfterName = Literal["nothing", "shadow", "canary", "ask"]
DataKindName = Literal["good", "inverted", "shifted", "mislabeled", "noise", "constant"]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("train")(train)
    app.command("generate-data")(generate_data)


def train(
    model: ModelArgument,
    actor: Actor,
    architecture: Annotated[str, typer.Option(help="Name of a registered architecture.")] = "digits-cnn",
    data: Annotated[
        Path | None,
        typer.Option(help="Data file of `generate-data`. Default: the bundled digits.", show_default=False),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.", min=1, max=1_000)] = 12,
    batch_size: Annotated[int, typer.Option(help="Images per step.", min=1, max=65_536)] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak of the learning rate.", min=1e-9, max=10.0)] = 0.01,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)] = 0,
    version: Annotated[
        str | None, typer.Option(help="Name of the version. Default: the next v<n>.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag, as key=value; repeat for more.", show_default=False)
    ] = None,
    promote_first: Annotated[
        bool, typer.Option(help="Promote it if it passes validation and no version is active.")
    ] = True,
    trainer: Annotated[
        str | None,
        typer.Option(
            help="Have a runner do it, by this trainer, instead of a process here: `hotswap-stream trainers --show`.",
            show_default=False,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With --trainer: a parameter of it.", show_default=False),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="With --trainer: digest or name of a dataset; repeat for more.", show_default=False),
    ] = None,
    after: Annotated[
        AfterName, typer.Option(help="With --trainer: what becomes of a version that passes.")
    ] = "nothing",
    repeat: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Have a runner do this run again, from its order in the log, and say whether the same bytes came of "
            "it; exit code 1 if not.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="With --trainer: show its progress until it ends.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Train a version in a process of its own, register it, and validate it against the active version.

    A version that fails validation is archived by itself. Exit code 1: the run failed, with an event that says why.
    """
    if repeat is not None:
        if trainer is not None or set_ or dataset or after != "nothing":
            raise typer.BadParameter(
                "a run is done again as it was asked for: give nothing else", param_hint="--repeat"
            )
        _repeat(model, actor, reason, repeat, as_json=as_json)
    if trainer is not None:
        _request(model, actor, reason, trainer, set_, dataset, after, follow=follow, as_json=as_json)
        return
    if set_ or dataset or follow or after != "nothing":
        raise typer.BadParameter("--set, --dataset, --after and --follow go with --trainer", param_hint="--trainer")
    tags = parse_pairs(tag or [], option="--tag")

    async def main(settings: "Settings") -> "TrainingReport":
        import uuid

        from hotswap_stream import bootstrap
        from hotswap_stream.application.training.runs import TrainingSpec

        spec = TrainingSpec(
            run_id=f"run-{uuid.uuid4().hex[:12]}",
            model_name=model,
            architecture=architecture,
            data_file=None if data is None else str(data.absolute()),
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            created_by=actor,
        )
        async with bootstrap.open_training(settings) as trainer:
            with TrainingBar(shown=not as_json) as bar:
                return await trainer.train(
                    spec,
                    actor=actor,
                    reason=reason,
                    tags=tags,
                    model_version=version,
                    promote_first=promote_first,
                    on_progress=bar.begin(spec),
                )

    report = run(main)
    if as_json:
        from hotswap_stream.cli.terminal.printing import print_json

        print_json(report)
    else:
        print_report(report)
    if not report.ended_well:
        raise typer.Exit(FAILED)


def _repeat(model: str, actor: str, reason: str | None, run_id: str, *, as_json: bool) -> NoReturn:
    """Do a run again."""
    from hotswap_stream.cli.terminal.commanding import command_fields
    from hotswap_stream.cli.terminal.running import run_on_plane
    from hotswap_stream.cli.training.repeating import repeated

    fields = command_fields(model, actor, reason or f"{run_id} again")
    raise typer.Exit(run_on_plane(lambda plane: repeated(plane, fields, run_id, as_json=as_json), waiting_for=None))


def _request(
    model: str,
    actor: str,
    reason: str | None,
    trainer: str,
    pairs: list[str] | None,
    datasets: list[str] | None,
    after: "AfterName",
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """Ask for a run that any runner does."""
    from hotswap_stream.cli.terminal.commanding import command_fields
    from hotswap_stream.cli.terminal.printing import print_result
    from hotswap_stream.cli.terminal.running import run_on_plane
    from hotswap_stream.cli.training.following import followed
    from hotswap_stream.cli.training.runs import parse_parameters, requested

    command = requested(
        command_fields(model, actor, reason),
        trainer,
        parameters=parse_parameters(pairs or []),
        datasets=tuple(datasets or ()),
        after=after,
        run_id=None,
        retries=0,
        seconds_max=None,
    )
    result = run_on_plane(lambda plane: plane.send(command))
    if not follow or result.refusal is not None:
        print_result(result, as_json=as_json)
        typer.secho(f"{command.run_id} is asked for", err=True)
        return
    typer.secho(f"{command.run_id} is asked for", err=True)
    code = run_on_plane(
        lambda plane: followed(plane, model, command.run_id, timeout=None, as_json=as_json), waiting_for=None
    )
    raise typer.Exit(code)


class TrainingBar:
    """Progress bars of training runs on standard error, one at a time."""

    def __init__(self, *, shown: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("   {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
            transient=True,
        )

    def __enter__(self) -> "TrainingBar":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._progress.stop()

    def begin(self, spec: "TrainingSpec") -> "OnProgress":
        """Show a bar for this run; the returned function moves it."""
        task = self._progress.add_task(f"training {spec.model_name}", total=None, figures="starting")
        self._progress.start()

        def show(progress: "TrainingProgress") -> None:
            self._progress.update(
                task,
                total=progress.steps,
                completed=progress.step,
                figures=f"epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.3f}  "
                f"accuracy {progress.accuracy:.1%}",
            )
            if progress.step >= progress.steps:
                self._progress.stop()
                self._progress.remove_task(task)

        return show


def print_report(report: "TrainingReport") -> None:
    """Print how a run ended, in a few lines."""
    from hotswap_stream.application.training.runs import TrainingFailure

    if isinstance(report.outcome, TrainingFailure):
        typer.secho(f"training failed ({report.outcome.cause}): {report.outcome.detail}", fg="red", err=True)
        return
    last = report.results[-1]
    if report.evaluation is None:
        typer.secho(f"not registered: {last.refusal.reason if last.refusal else last.detail}", fg="red", err=True)
        return
    typer.echo(f"{report.model_version}: {_measured_line(report.evaluation)}")
    typer.echo(_verdict_line(last.event_types) if last.refusal is None else f"not validated: {last.refusal.reason}")


def _measured_line(measured: "Evaluation | SetEvaluation") -> str:
    from hotswap_stream.application.training.evaluation import SetEvaluation

    if isinstance(measured, SetEvaluation):
        figures = ", ".join(f"{metric.name} {metric.value:.4g}" for metric in measured.metrics)
        return f"{figures}, p95 {measured.latency_ms_p95:.2f} ms on {measured.count} rows of the model's validation set"
    return (
        f"accuracy {measured.accuracy:.1%}, macro F1 {measured.macro_f1:.3f}, p95 {measured.latency_ms_p95:.2f} ms on "
        f"{measured.count} validation images"
    )


def _verdict_line(event_types: tuple[str, ...]) -> str:
    if "hotswap.model.promoted.v1" in event_types:
        return "passed validation and is in production, as no version was active"
    if "hotswap.model.archived.v1" in event_types:
        return "failed validation and was archived"
    return "validated; `hotswap-stream models` shows the verdict, `hotswap-stream promote` puts it into production"


def generate_data(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the data file (.safetensors).")],
    kind: Annotated[DataKindName, typer.Option(help="What is wrong with it; 'good' is right.")] = "good",
    count: Annotated[
        int | None, typer.Option(help="Number of images. Default: all of the training part.", min=1, show_default=False)
    ] = None,
    noise: Annotated[float, typer.Option(help="Standard deviation of noise on each pixel.", min=0.0, max=1.0)] = 0.0,
    shift: Annotated[int, typer.Option(help="For 'shifted': added to each label, modulo 10.")] = 5,
    label: Annotated[int, typer.Option(help="For 'constant': the label of every image.", min=0, max=9)] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.", min=0)] = 0,
) -> None:
    """Write training data drawn from the bundled digits, right or wrong in one of five ways."""

    async def main(_settings: "Settings") -> int:
        from hotswap_stream import bootstrap

        return bootstrap.write_digits(
            output, kind, count=count, pixel_noise=noise, seed=seed, shift_by=shift, constant_label=label
        )

    if output.suffix != ".safetensors":
        fail(f"{output} does not end in .safetensors; data files are safetensors files")
    typer.echo(f"{run(main, needs_cluster=False)} images ({kind}) written to {output}")
