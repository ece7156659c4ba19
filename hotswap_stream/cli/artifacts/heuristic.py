"""`make-heuristic`: a version with the same answer for each row, to stand in when the model fails."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.options import Actor, AsJson, CommandId, ModelArgument, Reason
from hotswap_stream.cli.terminal.printing import print_result
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("make-heuristic")(make_heuristic)


def make_heuristic(
    model: ModelArgument,
    actor: Actor,
    output: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]NUMBER,NUMBER,...",
            help="The answer for one row, row-major; with several outputs, once for each by name.",
            show_default=False,
        ),
    ],
    version: Annotated[str, typer.Option(help="Name of the new version.")] = "heuristic",
    like: Annotated[
        str | None, typer.Option(help="The version whose inputs and outputs it has; default: the active one.")
    ] = None,
    use: Annotated[
        bool, typer.Option("--use", help="Make it the fallback of the serving policy in the same go.")
    ] = False,
    reason: Reason = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Register a version with a constant answer, such as the share of each class: it stands in when the model fails."""
    answers = [_parsed(text) for text in output]
    fields = command_fields(model, actor=actor, reason=reason, command_id=command_id)

    async def main(settings: "Settings") -> "CommandResult":
        from hotswap_events.commands import CommandResult, Refusal, RegisterVersion
        from hotswap_events.registry.events import Provenance
        from hotswap_events.registry.state import RegistryVersion
        from hotswap_stream import bootstrap
        from hotswap_stream.application.artifacts.heuristic import WrongHeuristicError, constant_artifact
        from hotswap_stream.application.registry.queries import find_version, unknown_model

        store = bootstrap.artifact_store(settings)
        async with bootstrap.open_registry(settings) as registry:
            streams, state = registry.fold.streams, registry.state(model)
            pattern = like or state.active_version
            found: RegistryVersion | Refusal
            if not state.exists:
                found = unknown_model(streams, model)
            elif pattern is None:
                found = Refusal(
                    code="invalid-value", reason=f"{model!r} has no active version; say with --like which it is like"
                )
            else:
                found = find_version(streams, model, pattern)
            if isinstance(found, Refusal):
                return CommandResult(command_id=fields["command_id"], status="refused", model_name=model, refusal=found)
            manifest = (await store.fetch(found.artifact.digest)).manifest
            only = manifest.outputs[0].name if len(manifest.outputs) == 1 else ""
            try:
                content = constant_artifact(manifest, {name or only: values for name, values in answers})
            except WrongHeuristicError as error:
                refusal = Refusal(code="invalid-value", reason=str(error))
                return CommandResult(
                    command_id=fields["command_id"], status="refused", model_name=model, refusal=refusal
                )
            stored = await bootstrap.stored_model(settings, store, content, None)
            result = await registry.handle(
                RegisterVersion(
                    artifact=stored.artifact,
                    graph=stored.graph,
                    provenance=Provenance(origin="imported", created_by=actor),
                    model_version=version,
                    tags={"kind": "heuristic"},
                    **fields,
                )
            )
            if not use or result.refusal is not None or result.status == "failed":
                return result
            return await _use(registry, version, fields)

    print_result(run(main), as_json=as_json)


async def _use(registry: "Registry", version: str, fields: dict[str, Any]) -> "CommandResult":
    from msgspec.structs import replace

    from hotswap_events.serving.commands import SetServingPolicy

    policy = registry.state(fields["model_name"]).serving.effective_policy
    changed = replace(policy, fallback="version", fallback_version=version)
    return await registry.handle(
        SetServingPolicy(policy=changed, **{**fields, "command_id": f"{fields['command_id'][:100]}:use"})
    )


def _parsed(text: str) -> tuple[str, list[float]]:
    name, separator, numbers = text.rpartition("=")
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not [NAME=]NUMBER,NUMBER,...", param_hint="--output") from None
    return (name if separator else "", values)
