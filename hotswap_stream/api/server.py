"""Serving the application over HTTP with uvicorn."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from litestar import Litestar

from hotswap_stream.api.inference.fast_path import InferPath
from hotswap_stream.api.monitoring.traced import Traced
from hotswap_stream.api.protocol.allowed_hosts import AllowedHosts, own_names
from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.api.protocol.head_requests import HeadAsGet
from hotswap_stream.api.protocol.http_protocol import ServerConfig
from hotswap_stream.api.protocol.site_guard import SiteGuard
from hotswap_stream.api.queries.not_modified import NotModified
from hotswap_stream.api.registry.fast_path import QueryPath
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.api.tls import ServerTls
from hotswap_stream.application.processes.event_loop import new_event_loop as new_event_loop
from hotswap_stream.errors import HotswapError
from hotswap_stream.home.shared_port import listening_socket as listening_socket
from hotswap_stream.home.shared_port import url_of

_log = structlog.get_logger(__name__)

GRACE_SECONDS_MAX = 5
TICKS_PER_LOOK = 5
"""Connections that take too long are looked for twice a second."""
TICKS_PER_RENEWAL = 20
"""Whether the certificate was renewed is looked for every two seconds."""


class _Server(uvicorn.Server):
    """uvicorn waits for open connections before it ends; event streams must be told, or they never end."""

    def __init__(
        self, config: ServerConfig, app: Litestar, on_started: Callable[[str], None] | None, tls: ServerTls | None
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._connections = config.open_connections
        self._app = app
        self._on_started = on_started

    def stop(self) -> None:
        """Let `serve` return, once open requests are answered."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise the signal again at the end, before anything else can be closed."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            url = url_of(sockets[0], "http" if self._tls is None else "https")
            _log.info("api_started", url=url)
            if self._on_started is not None:
                self._on_started(url)

    async def on_tick(self, counter: int) -> bool:
        """End connections that take too long; uvicorn calls it ten times a second."""
        if counter % TICKS_PER_LOOK == 0:
            self._connections.end_overdue(asyncio.get_running_loop().time())
        if self._tls is not None and counter % TICKS_PER_RENEWAL == 0:
            self._tls.renew()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        runtime: ApiRuntime | None = self._app.state.get("runtime")
        if runtime is not None:
            runtime.end_event_streams()
        await super().shutdown(sockets)


async def serve(
    app: Litestar,
    *,
    host: str,
    port: int,
    allowed_hosts: Iterable[str] = (),
    limits: ConnectionLimits | None = None,
    tls: ServerTls | None = None,
    on_started: Callable[[str], None] | None = None,
    stop_on_signals: bool = True,
    process_number: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, or until cancelled; open requests are answered first.

    `allowed_hosts` are names of this server beside its own ones; requests by another name are refused. `port` 0 takes a
    free one; `tls` has it speak HTTPS and nothing else; `on_started` gets the URL. With `stop_on_signals` it must run
    in the main thread. With a `process_number` others listen on the port as well, and answers say which one it was.

    Raises:
        ConfigurationError: The address is taken, or not one of this machine.
        HotswapError: The application fails to start.
    """
    hosts = AllowedHosts((*own_names(host), *allowed_hosts))
    config = ServerConfig(
        # What is about other methods than POST is not in the way of requests to models.
        SiteGuard(Traced(InferPath(HeadAsGet(NotModified(QueryPath(app, app))), app), process_number), hosts),
        limits=limits or ConnectionLimits(),
        host=host,
        port=port,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # A header that anybody may send does not say who somebody is.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS_MAX,
    )
    if tls is not None:
        config.load()
        config.ssl = tls.context
    loop = asyncio.get_running_loop()
    with listening_socket(host, port, shared=process_number is not None) as listener:
        server = _Server(config, app, on_started, tls)
        signals = (signal.SIGINT, signal.SIGTERM) if stop_on_signals else ()
        for number in signals:
            loop.add_signal_handler(number, server.stop)
        running = asyncio.create_task(server.serve(sockets=[listener]), name="api-server")
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            server.stop()
            await running
            raise
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
    if not server.started:
        raise HotswapError("the API did not start; the log says why")
