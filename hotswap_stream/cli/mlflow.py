"""`mlflow`: versions made of what MLflow keeps, one or all of a registered model."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.registry.version_options import Metrics, NewVersion, Tags
from hotswap_stream.cli.terminal.options import (
    Actor,
    AsJson,
    CommandId,
    ModelArgument,
    Reason,
    parse_figures,
    parse_pairs,
)
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import FAILED, REFUSED, fail, run

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from hotswap_stream.application.artifacts.publishing import PublishTarget
    from hotswap_stream.bootstrap import ImportOutcome
    from hotswap_stream.settings import Settings

TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="The MLflow server that knows the source. Default: HOTSWAP_MLFLOW_TRACKING_URI.", show_default=False
    ),
]
TrustFile = Annotated[
    bool, typer.Option("--trust-file", help="Open exported torch programs: that can run any code on this machine.")
]
Url = Annotated[
    str | None,
    typer.Option(
        help="The API to upload to. Default: HOTSWAP_API_URL; where that is not set, straight to the store.",
        show_default=False,
    ),
]
ApiKey = Annotated[str | None, typer.Option(help="API key. Default: HOTSWAP_API_KEY.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Models that MLflow keeps, made versions here; training runs told to it.", no_args_is_help=True
    )
    group.command("import")(import_version)
    group.command("import-all")(import_all)
    group.command("export-run")(export_run)
    app.add_typer(group, name="mlflow")


def import_version(
    model: ModelArgument,
    actor: Actor,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A model directory (a path or file:, s3:), or what an MLflow server knows: models:/NAME/3, "
            "models:/NAME@alias, models:/m-…, runs:/RUN/model, mlflow-artifacts:/….",
            show_default=False,
        ),
    ],
    tracking_uri: TrackingUri = None,
    url: Url = None,
    api_key: ApiKey = None,
    trust_file: TrustFile = False,
    version: NewVersion = None,
    metric: Metrics = None,
    tag: Tags = None,
    reason: Reason = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Import one model of MLflow: fetch it, make a graph of it, compare the two, and register it as a version."""
    metrics, tags = parse_figures(metric or [], option="--metric"), parse_pairs(tag or [], option="--tag")

    async def main(settings: "Settings") -> "ImportOutcome":
        from hotswap_stream import bootstrap
        from hotswap_stream.application.artifacts.publishing import RegistrationRefusedError
        from hotswap_stream.client import RefusedError

        try:
            async with _target(settings, url, api_key, actor) as target:
                return await bootstrap.import_one(
                    bootstrap.with_tracking_server(settings, tracking_uri),
                    target,
                    bootstrap.ImportOrder(
                        model_name=model,
                        source=source,
                        model_version=version,
                        metrics=metrics,
                        tags=tags,
                        reason=reason,
                        command_id=command_id,
                        trust_programs=trust_file,
                    ),
                )
        except (RegistrationRefusedError, RefusedError) as error:
            fail(str(error), REFUSED)

    outcome = run(main, needs_cluster=False)
    for warning in outcome.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if as_json:
        print_json(outcome)
        return
    digest = (outcome.artifact_digest or "").removeprefix("sha256:")[:12]
    typer.secho(
        f"{model} {outcome.model_version}: registered from MLflow's {outcome.flavor}  (artifact {digest}…)", fg="green"
    )


def export_run(
    model: ModelArgument,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the training run.", show_default=False)],
    experiment: Annotated[
        str | None, typer.Option(help="Name in MLflow. Default: that of the model.", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Tell an MLflow server of a training run that has ended: parameters, the figures of its epochs, its version.

    The same again changes nothing.
    """
    from hotswap_stream.application.mlflow.tracking import tracked_run
    from hotswap_stream.cli.planes import questions
    from hotswap_stream.cli.terminal.queries import ask
    from hotswap_stream.cli.terminal.running import run_on_plane

    found = ask(questions.run(model, run_id), as_of=None, as_json=as_json)
    if found.ended_at is None:
        fail(f"training run {run_id!r} is {found.status}; one that has ended is told", REFUSED)
    progress = run_on_plane(lambda plane: plane.training_progress(found))
    told = tracked_run(found, progress)

    async def main(settings: "Settings") -> tuple[str, bool]:
        from hotswap_stream import bootstrap

        named = bootstrap.with_tracking_server(settings, tracking_uri)
        return await bootstrap.export_run(named, told, experiment or model)

    there, was_there = run(main, needs_cluster=False)
    if as_json:
        print_json({"run_id": run_id, "mlflow_run_id": there, "was_there": was_there})
        return
    typer.secho(f"{run_id}: {'there already' if was_there else 'told'} as run {there} of MLflow", fg="green")


def import_all(
    registered: Annotated[
        str, typer.Argument(metavar="REGISTERED", help="Name of the registered model in MLflow.", show_default=False)
    ],
    actor: Actor,
    model: Annotated[
        str | None, typer.Option("--as", help="Name of the model here. Default: the same.", show_default=False)
    ] = None,
    tracking_uri: TrackingUri = None,
    url: Url = None,
    api_key: ApiKey = None,
    trust_file: TrustFile = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Import all versions of a model in MLflow's registry, as v<n>; those that were imported before stay as they are.

    A version that cannot be imported is reported, and the next one goes on; then the exit code is 1.
    """

    async def main(settings: "Settings") -> "tuple[ImportOutcome, ...]":
        from hotswap_stream import bootstrap

        async with _target(settings, url, api_key, actor) as target:
            return await bootstrap.import_registered(
                bootstrap.with_tracking_server(settings, tracking_uri),
                target,
                registered,
                model or registered,
                reason=reason,
                trust_programs=trust_file,
            )

    outcomes = run(main, needs_cluster=False)
    if as_json:
        print_json(outcomes)
    else:
        rows = (
            (
                outcome.mlflow_version,
                outcome.model_version,
                outcome.flavor,
                outcome.refused or "; ".join(outcome.warnings) or "registered",
            )
            for outcome in outcomes
        )
        print_table(("in MLflow", "here", "flavor", "what came of it"), rows)
    if any(outcome.refused for outcome in outcomes):
        raise typer.Exit(FAILED)


def _target(
    settings: "Settings", url: str | None, api_key: str | None, actor: str
) -> "AbstractAsyncContextManager[PublishTarget]":
    from hotswap_stream import bootstrap
    from hotswap_stream.client.publishing.http_target import http_target

    chosen = url or settings.api_url
    if chosen is None:
        return bootstrap.store_target(settings, actor)
    return http_target(chosen, api_key or settings.api_key)
