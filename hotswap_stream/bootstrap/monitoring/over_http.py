"""What processes show of themselves over HTTP."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.home import scrape_targets
from hotswap_stream.observability.metric_spec import Family
from hotswap_stream.observability.server import MetricsServer, Shown
from hotswap_stream.settings import Settings


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
