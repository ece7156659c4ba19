"""Which workers hold which versions of a model, and whether the whole fleet serves the one in production."""

from litestar import get

from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.inference.fleet import ModelFleet, model_fleet
from hotswap_stream.application.registry.queries import find_model


@get(
    "/api/models/{model_name:str}/fleet",
    operation_id="get_fleet",
    tags=["models"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_fleet(runtime: Runtime, model_name: ModelNameInPath) -> ModelFleet:
    """The workers of a model, what they hold, and whether all of them serve the version in production."""
    stream = runtime.registry.stream(model_name)
    if stream is None:
        found(find_model(runtime.registry.fold.streams, model_name))
    fleet = runtime.services.fleet
    if stream is None or fleet is None or not fleet.known:
        raise ProblemError(
            503,
            "fleet-unknown",
            "the fleet topic is not read to its end here",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return model_fleet(model_name, stream.state, stream.active_offset, fleet.workers(model_name))
