"""How models do right now: rate, errors and waits of the last minute, and why a model hurts."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.monitoring.health import ModelHealth, model_health
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.queries import find_model

MODELS_MAX = 1_000

ModelsMax = Annotated[
    int,
    QueryParameter(
        name="limit",
        ge=1,
        le=MODELS_MAX,
        description="The largest number of models returned, those with problems first",
    ),
]


@get(
    "/api/models/{model_name:str}/health",
    operation_id="get_model_health",
    tags=["models"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_model_health(runtime: Runtime, model_name: ModelNameInPath) -> ModelHealth:
    """How a model does right now: rate, errors and waits of the last minute by version, and why it hurts if it does."""
    stream = runtime.registry.stream(model_name)
    if stream is None:
        found(find_model(runtime.registry.fold.streams, model_name))
    return _health(runtime, stream)


@get(
    "/api/health/models",
    operation_id="get_models_health",
    tags=["health"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_models_health(runtime: Runtime, models_max: ModelsMax = MODELS_MAX) -> list[ModelHealth]:
    """How all models do right now, those that hurt first."""
    found = [_health(runtime, stream) for stream in runtime.registry.fold.streams.values()]
    return sorted(found, key=lambda each: (not each.hurts, each.model_name))[:models_max]


def _health(runtime: ApiRuntime, stream: Stream | None) -> ModelHealth:
    """Return how a model does. ProblemError (503) while the observations are not followed here."""
    found = None if stream is None else health_of(runtime, stream)
    if found is None:
        raise ProblemError(
            503,
            "traffic-unknown",
            "the observations of the last minute are not read here",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return found


def health_of(runtime: ApiRuntime, stream: Stream) -> ModelHealth | None:
    """Return how a model does; None while the observations are not followed here."""
    traffic, fleet = runtime.services.traffic, runtime.services.fleet
    if traffic is None or not traffic.known:
        return None
    name = stream.state.model_name
    workers = None if fleet is None or not fleet.known else fleet.workers(name)
    return model_health(stream.state, traffic.recent(name), workers)
