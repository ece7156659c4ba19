"""The desk's HTTP server, on the event loop of the runner."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn

from hotswap_stream.errors import ConfigurationError

CONNECTIONS_MAX = 64
"""At once; more are answered with 503."""
IDLE_SECONDS_MAX = 15.0
"""Time for a connection on which no request has come in whole."""
BACKLOG = 128
GRACE_SECONDS_MAX = 2
_log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the process, and ends connections that only wait."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._idle_since_s: dict[int, float] = {}

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        now_s, idle = time.monotonic(), {}
        for connection in tuple(self.server_state.connections):
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                continue
            idle[id(connection)] = since_s = self._idle_since_s.get(id(connection), now_s)
            transport: Any = getattr(connection, "transport", None)
            if now_s - since_s > IDLE_SECONDS_MAX and transport is not None:
                transport.abort()
        self._idle_since_s = idle
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. ConfigurationError if it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"runs cannot report to {host}:{port}: {error}; set HOTSWAP_TRAINER_REPORT_HOST and "
            "HOTSWAP_TRAINER_REPORT_PORT"
        ) from error
    return listener


@asynccontextmanager
async def served(app: Any, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an application on a socket for as long as the block runs."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=GRACE_SECONDS_MAX,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="run-reports")
    _log.info("run_reports_served", address=listener.getsockname()[:2])
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        listener.close()
