"""Health for orchestrators, and the status for people."""

from datetime import datetime

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from hotswap_stream import __version__
from hotswap_stream.api.access.scopes import PUBLIC
from hotswap_stream.api.monitoring.readiness import degraded, missing_lately, require_ready
from hotswap_stream.api.protocol.broker_away import broker_condition
from hotswap_stream.api.protocol.problems import Problem
from hotswap_stream.api.runtime import ApiRuntime, Runtime, StateCounts


class Live(Struct, frozen=True, kw_only=True):
    """The process runs and its event loop turns."""

    status: str = "live"


class Ready(Struct, frozen=True, kw_only=True):
    """Commands and queries will be answered from an up-to-date registry."""

    status: str = "ready"
    next_offset: int
    """The registry log is folded up to, not including, this offset."""
    degraded: tuple[str, ...] = ()
    """Models whose requests stand still, and why. Commands and queries are answered all the same."""


class Status(Struct, frozen=True, kw_only=True):
    """What this server is and how far it has come."""

    environment: str
    """The topic prefix."""
    release: str
    started_at: datetime
    now: datetime
    ready: bool
    not_ready_because: tuple[str, ...]
    degraded: tuple[str, ...]
    """Models whose requests stand still, and why."""
    warnings: tuple[str, ...] = ()
    """What will keep it from working before long, such as a disk of the embedded broker that is nearly full."""
    models: int
    active_models: int
    """Models with a version in production."""
    versions: int
    alerts_raised: int
    """Over all models; `GET /api/alerts` lists them."""
    critical_alerts_raised: int
    registry_next_offset: int
    events_applied: int
    events_void: int
    event_stream_clients: int
    event_stream_clients_max: int
    api_keys_required: bool


@get("/api/health/live", operation_id="live", tags=["health"], opt=PUBLIC, security=[{}])
async def live() -> Live:
    """Whether the process runs."""
    return Live()


@get(
    "/api/health/ready",
    operation_id="ready",
    tags=["health"],
    opt=PUBLIC,
    security=[{}],
    responses={503: ResponseSpec(Problem, generate_examples=False, description="Not ready; the detail says why")},
)
async def ready(runtime: Runtime) -> Ready:
    """Whether the registry is followed and caught up with the log's end."""
    await require_ready(runtime)
    return Ready(next_offset=runtime.registry.fold.next_offset, degraded=degraded(runtime))


@get("/livez", operation_id="livez", tags=["health"], opt=PUBLIC, security=[{}])
async def livez() -> Live:
    """Whether the process can make progress: that this is answered says so. The same path as at workers and agents."""
    return Live()


@get(
    "/readyz",
    operation_id="readyz",
    tags=["health"],
    opt=PUBLIC,
    security=[{}],
    responses={503: ResponseSpec(Problem, generate_examples=False, description="Not ready; the detail says why")},
)
async def readyz(runtime: Runtime) -> Ready:
    """As `/api/health/ready`, by the path that workers and agents have, too."""
    await require_ready(runtime)
    return Ready(next_offset=runtime.registry.fold.next_offset, degraded=degraded(runtime))


@get("/api/status", operation_id="status", tags=["health"])
async def status(runtime: Runtime) -> Status:
    """What this server is and how far it has come."""
    return await status_of(runtime)


async def status_of(runtime: ApiRuntime) -> Status:
    """Return what this server is and how far it has come."""
    missing = await missing_lately(runtime)
    broker = broker_condition(runtime)
    fold, services = runtime.registry.fold, runtime.services
    counts = _counts(runtime)
    return Status(
        environment=services.environment,
        release=__version__,
        started_at=runtime.started_at,
        now=services.clock.now(),
        ready=not missing,
        not_ready_because=missing,
        degraded=degraded(runtime),
        warnings=(broker.disk_warning,) if broker is not None and broker.disk_warning else (),
        models=counts.models,
        active_models=counts.active_models,
        versions=counts.versions,
        alerts_raised=counts.alerts_raised,
        critical_alerts_raised=counts.critical_alerts_raised,
        registry_next_offset=fold.next_offset,
        events_applied=fold.applied_count,
        events_void=fold.void_count,
        event_stream_clients=runtime.event_stream_clients,
        event_stream_clients_max=services.event_stream_clients_max,
        api_keys_required=services.open_to is None,
    )


def _counts(runtime: ApiRuntime) -> StateCounts:
    """Return what is counted over all models: anew only after the log has moved."""
    fold = runtime.registry.fold
    if runtime.counts_known is not None and runtime.counts_known[0] == fold.next_offset:
        return runtime.counts_known[1]
    states = [stream.state for stream in fold.streams.values()]
    severities = [alert.rule.severity for state in states for alert in state.alerts.raised.values()]
    found = StateCounts(
        models=len(states),
        active_models=sum(state.active_version is not None for state in states),
        versions=sum(len(state.versions) for state in states),
        alerts_raised=len(severities),
        critical_alerts_raised=severities.count("critical"),
    )
    runtime.counts_known = (fold.next_offset, found)
    return found
