"""Registering what is in the artifact store, whoever asks and in whatever words."""

from typing import Any

from litestar import Response

from hotswap_events.commands import Refusal, RegisterVersion
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.api.commands.answers import CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandContext
from hotswap_stream.api.protocol.problems import refused
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.artifacts.facts import registrable_artifact


async def register_stored(
    runtime: ApiRuntime,
    context: CommandContext,
    artifact_digest: str,
    *,
    options: VersionOptions | None = None,
    **fields: Any,
) -> Response[CommandAnswer]:
    """Register an artifact that is in the store, after its trial; `fields` are the others of `RegisterVersion`.

    Raises:
        ProblemError: It is refused.
        HotswapError: Those of `registrable_artifact`.
    """
    services = runtime.services
    found = await registrable_artifact(
        services.artifacts, services.try_artifact, artifact_digest, options, services.export_graph
    )
    if isinstance(found, Refusal):
        raise refused(found, command_id=context.command_id)
    command = RegisterVersion(
        artifact=found.artifact, trial=found.trial, graph=found.graph, options=options, **fields, **context.fields()
    )
    return await handled(runtime, context, command)
