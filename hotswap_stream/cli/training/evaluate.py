"""`evaluate`: a version's figures on a validation set, and the verdict that follows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import Actor, AsJson, ModelArgument, VersionArgument
from hotswap_stream.cli.terminal.printing import print_facts, print_result, print_table, refuse
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.training.evaluation import Evaluation, SetEvaluation
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

    Found = tuple[Evaluation | SetEvaluation | None, CommandResult, tuple[str, str | None] | None]

EVALUATION_SECONDS_MAX = 3_600.0
"""How long an API may measure."""


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
    command_id = f"evaluate-{uuid4().hex}"

    async def main(settings: "Settings") -> "Found":
        from hotswap_stream import bootstrap

        async with bootstrap.open_training(settings, "cli") as trainer:
            evaluation, result = await trainer.validate(
                model, version, actor=actor, command_id=command_id, data_file=data
            )
            found = trainer.registry.state(model).versions.get(version)
            validation = None if found is None or result.refusal is not None else found.validation
            verdict = None if validation is None else (validation.verdict, validation.detail)
            return evaluation, result, verdict

    async def of_api(api: "ApiPlane") -> "Found":
        from hotswap_events.commands import Refusal
        from hotswap_stream.application.training.evaluation import VersionMeasured
        from hotswap_stream.client.http_calls import model_path

        if data is not None:
            raise typer.BadParameter("an API measures on the model's own set alone; `validation-set choose` gives one")
        fields = command_fields(model, actor=actor, command_id=None)
        fields["command_id"] = command_id
        path = f"{model_path(model, version)}/evaluate"
        found = await api.done(path, {}, fields, VersionMeasured, seconds_max=EVALUATION_SECONDS_MAX)
        if isinstance(found, Refusal):
            raise refuse(found, as_json=as_json)
        verdict = None if found.verdict is None else (found.verdict, found.detail)
        return found.on_digits or found.on_set, found.result, verdict

    evaluation, result, verdict = run_by_api_or(main, of_api, waiting_for=f"measuring {version}")
    if not as_json:
        if evaluation is not None:
            _print_evaluation(evaluation)
        if verdict is not None:
            print_facts({"verdict": verdict[0], "because": verdict[1]})
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
