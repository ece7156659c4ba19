"""From a source that an MLflow client names to a version."""

from hotswap_events.registry.tags import DESCRIPTION_TAG
from hotswap_stream.api.commands.context import CommandHeaders
from hotswap_stream.api.mlflow.asking import context_of
from hotswap_stream.api.mlflow.bodies import CreateVersion
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.registry.registering import register_stored
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.mlflow.provenance import provenance_of
from hotswap_stream.domain.deciding.limits import wrong_labels


async def created(
    runtime: ApiRuntime, headers: CommandHeaders, asked: CreateVersion, *, model_version: str | None = None
) -> str:
    """Import a model and register it; return the version's name. Who asks the same meanwhile gets the same version.

    Args:
        runtime: The API's.
        headers: Who asks.
        asked: What for.
        model_version: Name of the version; None: the next one.

    Raises:
        ProblemError: It is refused.
        HotswapError: Those of `ModelSource` and of the artifact store.
    """
    tags = {tag.key: tag.value for tag in asked.tags}
    if asked.description:
        tags[DESCRIPTION_TAG] = asked.description
    if wrong := wrong_labels("tags", tags):  # before anything is fetched
        raise ProblemError(422, "invalid-value", wrong)

    async def work() -> str:
        imported = await runtime.mlflow_source.imported(asked.source)
        context = context_of(runtime, headers)
        answer = await register_stored(
            runtime,
            context,
            imported.artifact_digest,
            model_name=asked.name,
            model_version=model_version,
            provenance=provenance_of(
                imported,
                source=asked.source,
                created_by=context.actor,
                run_link=asked.run_link,
                model_id=asked.model_id,
            ),
            run_id=asked.run_id,
            metrics=imported.metrics,
            tags=tags,
        )
        return str(answer.content.model_version)

    return await runtime.mlflow_creations.result((headers.actor, asked, model_version), work)
