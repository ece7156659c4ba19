"""All models in one look: what serves, what moves, and what hurts."""

from typing import Any

from litestar import Request, get
from msgspec import Struct

from hotswap_stream.api.access.callers import caller_of
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.monitoring.model_health import health_of
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.alerts.view import raised_alerts
from hotswap_stream.application.inference.fleet import model_fleet
from hotswap_stream.application.monitoring.health import ModelHealth
from hotswap_stream.application.monitoring.overview import ModelLine, Overview, model_line, together
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.queries import model_summary
from hotswap_stream.application.rollouts.view import rollout_report


class Look(Struct, frozen=True):
    """One model as it does now."""

    line: ModelLine
    health: ModelHealth | None


def look_at(runtime: ApiRuntime, stream: Stream) -> Look:
    """Return how one model does now, as far as that is known here."""
    state, fleet = stream.state, runtime.services.fleet
    health = health_of(runtime, stream)
    workers = None
    if fleet is not None and fleet.known:
        workers = model_fleet(state.model_name, state, stream.active_offset, fleet.workers(state.model_name))
    line = model_line(model_summary(stream), rollout_report(state), raised_alerts(state), health, workers)
    return Look(line, health)


@get(
    "/api/overview",
    operation_id="get_overview",
    tags=["models"],
    opt=needs("read", any_model=True),
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_overview(request: Request[Any, Any, Any], runtime: Runtime) -> Overview:
    """All models, what hurts first, then what needs somebody, what moves, and what is calm; and what to do about it.

    With a key that is limited to models: those.
    """
    runtime.registry.check_followed()
    caller = caller_of(runtime, request.scope)
    streams = runtime.registry.fold.streams.values()
    return together(look_at(runtime, each).line for each in streams if caller.may_on(each.state.model_name))
