"""`register` and `validate`: a version trained elsewhere, and the figures of an evaluation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.registry.trials import print_trial
from hotswap_stream.cli.registry.version_options import (
    AllowNonFinite,
    CodeRevision,
    DataSnapshot,
    Executor,
    Labels,
    Metrics,
    NewVersion,
    Precision,
    RunIdOption,
    Tags,
    WarmUp,
)
from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, command_fields, sends_command
from hotswap_stream.cli.terminal.options import (
    Actor,
    AsJson,
    CommandId,
    ExpectedSequence,
    ModelArgument,
    OneByOne,
    Reason,
    VersionArgument,
    batching_of,
    parse_figures,
    parse_pairs,
    parse_shapes,
)
from hotswap_stream.cli.terminal.printing import print_result
from hotswap_stream.cli.terminal.running import run_by_api_or

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.artifacts.facts import Registrable
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.cli.planes.port import ControlPlane
    from hotswap_stream.settings import Settings

UNNAMED_SET = "not named"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("register")(register)
    app.command("validate")(validate)


def register(
    model: ModelArgument,
    actor: Actor,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="An ONNX graph, or an artifact (safetensors with a manifest); it is tried, and put into the store.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        str | None, typer.Option(help="Instead of a file: the digest of a stored artifact.", show_default=False)
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A file with weights of the graph, or one that belongs to it, under its name; repeat for more.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    label: Labels = None,
    warm_up: WarmUp = None,
    one_by_one: OneByOne = None,
    allow_non_finite: AllowNonFinite = False,
    executor: Executor = None,
    precision: Precision = "f32",
    version: NewVersion = None,
    metric: Metrics = None,
    tag: Tags = None,
    code_revision: CodeRevision = None,
    data_snapshot: DataSnapshot = None,
    image: Annotated[str | None, typer.Option(help="Container image of the trainer.", show_default=False)] = None,
    run_id: RunIdOption = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Register a version: an ONNX graph of any framework, or an artifact that was trained here or elsewhere."""
    if (file is None) == (digest is None):
        raise typer.BadParameter("give either FILE or --digest", param_hint="FILE")
    files = {path.name: path for path in beside or []}
    shapes = parse_shapes(warm_up or [])
    metrics, tags = parse_figures(metric or [], option="--metric"), parse_pairs(tag or [], option="--tag")
    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )

    async def main(settings: "Settings") -> "CommandResult":
        from hotswap_events.commands import CommandResult, Refusal, RegisterVersion
        from hotswap_events.registry.events import Provenance
        from hotswap_events.registry.version_options import PLAIN, VersionOptions
        from hotswap_stream import bootstrap
        from hotswap_stream.application.artifacts.facts import registrable_artifact
        from hotswap_stream.application.artifacts.trial import ModelOptions
        from hotswap_stream.domain.versions.options import options_told, wrong_options

        store = bootstrap.artifact_store(settings)
        options = VersionOptions(executor=executor, precision=precision)

        async def stored(stored_digest: str) -> "Registrable | Refusal":
            trials, exporter = bootstrap.stored_trials(settings, store), bootstrap.graph_exporter(settings, store)
            return await registrable_artifact(store, trials, stored_digest, options, exporter)

        found: Registrable | Refusal
        if wrong := wrong_options(options):
            # Before anything is tried and stored.
            found = Refusal(code="invalid-value", reason=wrong)
        elif file is None:
            found = await stored(digest or "")
        else:
            graph = ModelOptions(
                labels=tuple(label or ()),
                warm_up=shapes,
                batching=batching_of(one_by_one),
                allow_non_finite=allow_non_finite,
            )
            content, tried = await bootstrap.imported_model(settings, file, files, graph)
            if tried is not None:
                print_trial(tried, as_json=as_json)
            if options == PLAIN:
                found = await bootstrap.stored_model(settings, store, content, tried)
            else:
                found = await stored((await store.put_artifact(content)).digest)
        if isinstance(found, Refusal):
            return CommandResult(command_id=fields["command_id"], status="refused", model_name=model, refusal=found)
        provenance = Provenance(
            origin="imported",
            created_by=actor,
            code_revision=code_revision,
            data_snapshot=data_snapshot,
            image=image,
        )
        command = RegisterVersion(
            artifact=found.artifact,
            trial=found.trial,
            graph=found.graph,
            options=options_told(options),
            provenance=provenance,
            model_version=version,
            run_id=run_id,
            metrics=metrics,
            tags=tags,
            **fields,
        )
        async with bootstrap.open_registry(settings) as registry:
            return await registry.handle(command)

    async def of_api(api: "ApiPlane") -> "CommandResult":
        from hotswap_stream.application.artifacts.trial import ModelOptions
        from hotswap_stream.cli.registry.register_by_api import registered, uploaded

        graph = ModelOptions(
            labels=tuple(label or ()),
            warm_up=shapes,
            batching=batching_of(one_by_one),
            allow_non_finite=allow_non_finite,
        )
        body = {
            "model_version": version,
            "code_revision": code_revision,
            "data_snapshot": data_snapshot,
            "image": image,
            "run_id": run_id,
            "metrics": metrics,
            "tags": tags,
            "executor": executor,
            "precision": precision,
        }
        stored = digest or "" if file is None else await uploaded(api, file, files, graph)
        return await registered(api, stored, body, fields)

    print_result(run_by_api_or(main, of_api, waiting_for="trying and registering it"), as_json=as_json)


@sends_command
def validate(
    fields: Fields,
    version: VersionArgument,
    accuracy: Annotated[
        float | None,
        typer.Option(
            help="Share of right answers on the validation set, 0 to 1; needed unless the model's set is of another "
            "kind than classification.",
            show_default=False,
        ),
    ] = None,
    figure: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="Another figure; repeat for more.")
    ] = None,
    validation_set: Annotated[str, typer.Option(help="Digest or name of the validation set.")] = UNNAMED_SET,
    baseline_accuracy: Annotated[
        float | None, typer.Option(help="Accuracy of the active version on the same set.", show_default=False)
    ] = None,
    baseline_figure: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=NUMBER", help="Another figure of the active version; repeat for more."),
    ] = None,
    baseline_version: Annotated[
        str | None, typer.Option(help="The version compared with. Default: the active version.", show_default=False)
    ] = None,
    promote_first: Annotated[
        bool, typer.Option("--promote-first", help="Promote it if it passes and none is active.")
    ] = False,
) -> CommandToSend:
    """Hand in the figures of an evaluation; by the policy the version passes, or fails and is archived."""
    figures = _figures(figure, accuracy, option="--figure")
    baseline_figures = _figures(baseline_figure, baseline_accuracy, option="--baseline-figure")

    async def handling(plane: "ControlPlane") -> "CommandResult":
        from hotswap_events.commands import Refusal, ValidateVersion

        compared_with = baseline_version
        if compared_with is None:
            found = await plane.ask(questions.model(fields["model_name"]))
            compared_with = None if isinstance(found, Refusal) else found.active_version
        command = ValidateVersion(
            model_version=version,
            validation_set=validation_set,
            figures=figures,
            baseline_version=compared_with,
            baseline_figures=baseline_figures,
            promote_first=promote_first,
            **fields,
        )
        return await plane.send(command)

    return handling


def _figures(texts: list[str] | None, accuracy: float | None, *, option: str) -> dict[str, float]:
    figures = parse_figures(texts or [], option=option)
    return figures if accuracy is None else {**figures, "accuracy": accuracy}
