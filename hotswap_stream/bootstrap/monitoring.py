"""How models do, and what processes show of themselves over HTTP."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from time import monotonic

from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.adapters.kafka.observations.follower import read_traffic
from hotswap_stream.application.monitoring.health import ModelHealth, model_health
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.home import scrape_targets
from hotswap_stream.observability.metric_spec import Family
from hotswap_stream.observability.server import MetricsServer, Shown
from hotswap_stream.settings import Settings


async def models_health(settings: Settings, streams: Mapping[str, Stream]) -> list[ModelHealth]:
    """Return how these models do right now, by what the workers wrote of the last minute: those that hurt first.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    options, names = connection(settings).client_options(), topics(settings)
    traffic, now_s = await read_traffic(options, names.observations)
    fleet = await read_fleet(options, names.fleet)
    found = [
        model_health(stream.state, traffic.recent(name, now_s), fleet.workers(name, monotonic()))
        for name, stream in streams.items()
    ]
    return sorted(found, key=lambda each: (not each.hurts, each.model_name))


@asynccontextmanager
async def shown_over_http(
    settings: Settings,
    kind: scrape_targets.TargetKind,
    name: str,
    *,
    families: Callable[[], Iterable[Family]],
    live: Shown,
    ready: Shown,
) -> AsyncIterator[MetricsServer | None]:
    """Serve `/metrics`, `/livez` and `/readyz` of this process where a port is set, for as long as the block runs.

    Args:
        settings: Say where.
        kind: What the process is.
        name: Which one of its kind.
        families: Called at each scrape.
        live: Says why the process cannot make progress; None while it can.
        ready: Says why it makes none; None while it does.

    Raises:
        ConfigurationError: The port is taken, or not to be had.
    """
    if settings.metrics_port is None:
        yield None
        return
    server = MetricsServer(families=families, live=live, ready=ready)
    try:
        port = await server.start(settings.metrics_host, settings.metrics_port)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"HOTSWAP_METRICS_PORT: {settings.metrics_host}:{settings.metrics_port} cannot be listened on: {error}; "
            "0 takes a free port"
        ) from error
    scrape_targets.announce(settings.home, kind, name, f"{settings.metrics_host}:{port}")
    try:
        yield server
    finally:
        scrape_targets.withdraw(settings.home, kind, name)
        await server.stop()
