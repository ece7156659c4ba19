"""What a rollout shows right now, and how it came there: from the evidence topic, without reading a history."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from hotswap_events.commands import Refusal
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.rollouts.shown import RolloutShown
from hotswap_stream.application.rollouts.view import list_rollouts


@get(
    "/api/models/{model_name:str}/rollout/evidence",
    operation_id="get_rollout_evidence",
    tags=["rollouts"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_rollout_evidence(
    runtime: Runtime,
    model_name: ModelNameInPath,
    rollout_id: Annotated[
        str | None, QueryParameter(description="Default: the one that goes on, or the last one.")
    ] = None,
) -> RolloutShown:
    """What each metric shows: the newest record of the evidence topic, and up to 128 points of the way there.

    Of rollouts of the last hours: what one was decided by is in its events for ever.
    """
    runtime.registry.check_followed()
    rollouts = found(list_rollouts(runtime.registry.fold.streams, model_name))
    chosen = next((each for each in rollouts.rollouts if rollout_id in (None, each.rollout_id)), None)
    if chosen is None:
        names = tuple(each.rollout_id for each in rollouts.rollouts)
        reason = f"{model_name!r} has no rollout" + ("" if rollout_id is None else f" {rollout_id[:100]!r}")
        return found(Refusal(code="unknown-rollout", reason=reason, legal=names))
    evidence = runtime.services.evidence
    if evidence is None or not evidence.known:
        raise ProblemError(
            503,
            "evidence-unknown",
            "the evidence topic is not read to its end here",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return evidence.shown(model_name, chosen.rollout_id)
