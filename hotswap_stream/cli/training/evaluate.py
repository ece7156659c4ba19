"""`evaluate`: a version's figures on a validation set, and the verdict that follows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import Actor, AsJson, ModelArgument, VersionArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_result, print_table
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_events.registry import ModelValidated
    from hotswap_stream.application.training.evaluation import Evaluation, SetEvaluation
    from hotswap_stream.settings import Settings

    Found = tuple[Evaluation | SetEvaluation, CommandResult, ModelValidated | None]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled rows to measure on instead (.npz, .safetensors, Parquet), as `validation-set choose` takes "
            "them, or labelled images, as `generate-data` writes them. Default: the model's validation set.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a version and the active one on one validation set, and hand in the figures for a verdict.

    This happens in a process of its own. The event names the set by its digest. Without a set of the model's own,
    versions of architectures that take the bundled digits are measured on those.
    """

    async def main(settings: "Settings") -> "Found":
        import uuid

        from hotswap_stream import bootstrap

        async with bootstrap.open_training(settings, "cli") as trainer:
            evaluation, result = await trainer.validate(
                model, version, actor=actor, command_id=f"evaluate-{uuid.uuid4().hex}", data_file=data
            )
            found = trainer.registry.state(model).versions.get(version)
            validation = None if found is None or result.refusal is not None else found.validation
            return evaluation, result, validation

    evaluation, result, validation = run(main)
    if not as_json:
        _print_evaluation(evaluation)
        if validation is not None:
            print_facts({"verdict": validation.verdict, "because": validation.detail})
    print_result(result, as_json=as_json)


def _print_evaluation(evaluation: "Evaluation | SetEvaluation") -> None:
    from hotswap_stream.application.training.evaluation import SetEvaluation

    if not isinstance(evaluation, SetEvaluation):
        print_facts(
            {"accuracy": evaluation.accuracy, "macro F1": evaluation.macro_f1, "p95 ms": evaluation.latency_ms_p95}
        )
        return
    print_table(
        ("metric", "value", "better", "unit"),
        (
            *((metric.name, metric.value, metric.better, metric.unit) for metric in evaluation.metrics),
            ("latency_ms_p95", evaluation.latency_ms_p95, "lower", "ms"),
        ),
        title=f"{evaluation.kind}, {evaluation.count} rows of {evaluation.validation_set[:19]}",
    )
    for warning in evaluation.warnings:
        typer.secho(warning, fg="yellow", err=True)
