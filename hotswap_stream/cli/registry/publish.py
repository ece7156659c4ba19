"""`publish`: a file, converted where that is needed, uploaded or put into the store, and registered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
from hotswap_stream.cli.terminal.options import (
    Actor,
    AsJson,
    CommandId,
    ModelArgument,
    OneByOne,
    Reason,
    batching_of,
    parse_figures,
    parse_pairs,
    parse_shapes,
)
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import NOT_AUTHENTICATED, REFUSED, fail, run

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from hotswap_stream.application.artifacts.publishing import PublishTarget
    from hotswap_stream.client import Published
    from hotswap_stream.settings import Settings

DENIED = (401, 403)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("publish")(publish)


def publish(
    model: ModelArgument,
    actor: Actor,
    file: Annotated[
        Path,
        typer.Argument(
            help="An ONNX graph, its weights inside or beside it; an artifact; or an exported torch program (.pt2).",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(
            help="The API to upload to. Default: HOTSWAP_API_URL; where that is not set, straight to the store.",
            show_default=False,
        ),
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="API key. Default: HOTSWAP_API_KEY.", show_default=False)] = None,
    example: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Example rows, as .npz with an array for each input, or .npy for the only one.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A file that belongs to the version, such as a tokenizer, under its name; repeat for more.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    label: Labels = None,
    warm_up: WarmUp = None,
    one_by_one: OneByOne = None,
    allow_non_finite: AllowNonFinite = False,
    trust_file: Annotated[
        bool,
        typer.Option("--trust-file", help="Open an exported torch program: that can run any code on this machine."),
    ] = False,
    difference_max: Annotated[
        float | None,
        typer.Option(
            help="How far a number of the converted graph may be off, as a part of the largest in its output.",
            min=0.0,
            show_default=False,
        ),
    ] = None,
    version: NewVersion = None,
    executor: Executor = None,
    precision: Precision = "f32",
    metric: Metrics = None,
    tag: Tags = None,
    code_revision: CodeRevision = None,
    data_snapshot: DataSnapshot = None,
    run_id: RunIdOption = None,
    wait: Annotated[
        Literal["registered", "verdict", "active"],
        typer.Option(help="Wait until it is registered, has the verdict of an evaluation, or is active (or failed)."),
    ] = "registered",
    wait_seconds_max: Annotated[
        float, typer.Option(help="How long to wait for more than registration.", min=0)
    ] = 600.0,
    reason: Reason = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Publish a model from a file: convert it where needed, upload it or put it into the store, and register it."""
    shapes = parse_shapes(warm_up or [])
    metrics, tags = parse_figures(metric or [], option="--metric"), parse_pairs(tag or [], option="--tag")

    async def main(settings: "Settings") -> "Published":
        from hotswap_stream import bootstrap
        from hotswap_stream.application.artifacts.publishing import RegistrationRefusedError
        from hotswap_stream.client import RefusedError, publish_async

        chosen_url = url or settings.api_url
        to: AbstractAsyncContextManager[PublishTarget] | None = None
        if chosen_url is None:
            to = bootstrap.store_target(settings, actor)
        try:
            return await publish_async(
                file,
                model,
                example=None if example is None else _read_example(example),
                labels=label or None,
                metrics=metrics,
                tags=tags,
                version=version,
                executor=executor,
                precision=precision,
                wait=wait,
                wait_seconds_max=wait_seconds_max,
                url=chosen_url,
                api_key=api_key or settings.api_key,
                to=to,
                difference_max=difference_max,
                warm_up=shapes,
                batching=batching_of(one_by_one),
                allow_non_finite=allow_non_finite or None,
                trust_file=trust_file,
                beside={path.name: path for path in beside or []},
                code_revision=code_revision,
                data_snapshot=data_snapshot,
                run_id=run_id,
                reason=reason,
                command_id=command_id,
                progress=not as_json,
            )
        except (RegistrationRefusedError, RefusedError) as error:
            denied = isinstance(error, RefusedError) and error.status in DENIED
            fail(str(error), NOT_AUTHENTICATED if denied else REFUSED)

    _print(run(main, needs_cluster=False), as_json=as_json)


def _read_example(path: Path) -> Any:
    import numpy as np

    from hotswap_stream.client import PublishError

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PublishError(f"{path} holds no arrays that can be read as .npz or .npy: {error}") from error
    if isinstance(found, np.ndarray):
        return found
    with found:
        return {name: found[name] for name in found.files}


def _print(published: "Published", *, as_json: bool) -> None:
    for warning in published.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if as_json:
        print_json(published)
        return
    if published.differences:
        rows = ((each.output, each.absolute, each.relative, each.allowed) for each in published.differences)
        print_table(("output", "largest difference", "as a part", "allowed"), rows)
    digest = published.artifact_digest.removeprefix("sha256:")[:12]
    typer.secho(
        f"{published.model_name} {published.model_version}: {published.status}  (artifact {digest}…)", fg="green"
    )
