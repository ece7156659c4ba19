"""`validation-set`: what versions of a model are measured on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import (
    Actor,
    AsJson,
    AsOf,
    CommandId,
    ExpectedSequence,
    ModelArgument,
    Reason,
)
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_result
from hotswap_stream.cli.terminal.queries import ask
from hotswap_stream.cli.terminal.running import run, run_by_api_or

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The labelled set that versions of a model are measured on.", no_args_is_help=True)
    group.command("choose")(choose)
    group.command("show")(show)
    group.command("pack")(pack)
    app.add_typer(group, name="validation-set")


def choose(
    model: ModelArgument,
    actor: Actor,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Arrays (.npz, .safetensors, Parquet) named as the model's inputs, and 'labels', 'target' or "
            "'relevance'.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        str | None, typer.Option(help="Instead of a file: the digest of a stored set.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="classification, regression, forecasting, ranking, or an installed evaluator. Default: by the arrays' "
            "names.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(help="Which output of the model is measured. Default: the one that fits.", show_default=False),
    ] = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Measure versions of a model on this set from now on. It goes into the artifact store; verdicts drawn stay."""
    if (file is None) == (digest is None):
        raise typer.BadParameter("give either FILE or --digest", param_hint="FILE")
    if digest is not None and (kind is not None or output is not None):
        raise typer.BadParameter("a stored set says itself what it is for", param_hint="--kind, --output")
    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )

    async def main(settings: "Settings") -> "CommandResult":
        import asyncio

        from hotswap_events.commands import ChooseValidationSet, CommandResult, Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.training.validation_sets import stored_set

        store = bootstrap.artifact_store(settings)
        found = digest or ""
        if file is not None:
            content = await asyncio.to_thread(bootstrap.packed_set, settings, file, kind=kind, output=output)
            found = (await store.put_artifact(content)).digest
        chosen = await stored_set(store, found, source=None if file is None else file.name[:512])
        if isinstance(chosen, Refusal):
            return CommandResult(command_id=fields["command_id"], status="refused", model_name=model, refusal=chosen)
        if not as_json:
            print_facts({"set": chosen.artifact_digest, "kind": chosen.kind, "rows": chosen.rows})
        async with bootstrap.open_registry(settings) as registry:
            return await registry.handle(ChooseValidationSet(validation_set=chosen, **fields))

    async def of_api(api: "ApiPlane") -> "CommandResult":
        import asyncio
        import tempfile

        from hotswap_events.commands import CommandResult, Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.cli.registry.register_by_api import uploaded
        from hotswap_stream.client.http_calls import model_path
        from hotswap_stream.settings import load_settings

        stored: str | Refusal = digest or ""
        if file is not None:
            content = await asyncio.to_thread(bootstrap.packed_set, load_settings(), file, kind=kind, output=output)
            with tempfile.TemporaryDirectory() as folder:
                packed = Path(folder) / "set.safetensors"
                packed.write_bytes(content)
                stored = await uploaded(api, packed, {})
        if isinstance(stored, Refusal):
            return CommandResult(command_id=fields["command_id"], status="refused", model_name=model, refusal=stored)
        body = {"artifact_digest": stored, "source": None if file is None else file.name[:512]}
        return await api.order(f"{model_path(model)}/validation-set", body, fields, method="PUT")

    print_result(run_by_api_or(main, of_api), as_json=as_json)


def pack(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Arrays, as `choose` takes them.", exists=True, dir_okay=False),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Where to write the set (.safetensors).")],
    kind: Annotated[str | None, typer.Option(help="As of `choose`.", show_default=False)] = None,
    measured_output: Annotated[
        str | None, typer.Option(help="Which output of the model is measured, as of `choose`.", show_default=False)
    ] = None,
) -> None:
    """Write a set as the artifact that it is, to be sent to the API: POST /api/artifacts."""

    async def main(settings: "Settings") -> bytes:
        import asyncio

        from hotswap_stream import bootstrap

        return await asyncio.to_thread(bootstrap.packed_set, settings, file, kind=kind, output=measured_output)

    content = run(main, needs_cluster=False)
    out.write_bytes(content)
    from hotswap_stream.application.artifacts.file import digest_of_artifact

    typer.echo(f"{digest_of_artifact(content)}, {len(content):,} bytes, written to {out}")


def show(model: ModelArgument, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show the set that versions of a model are measured on."""
    report = ask(questions.validation_set(model), as_of=as_of, as_json=as_json)
    if as_json:
        print_json(report)
        return
    chosen = report.validation_set
    if chosen is None:
        typer.echo(
            f"none was chosen for {model}: versions of the digits' architectures are measured on the bundled digits, "
            "and others on none; choose one with `hotswap-stream validation-set choose`"
        )
        return
    print_facts(
        {
            "model": model,
            "set": chosen.artifact_digest,
            "kind": chosen.kind,
            "rows": chosen.rows,
            "bytes": chosen.size_bytes,
            "source": chosen.source or "not said",
        }
    )
