"""`/metrics`, `/livez` and `/readyz` of a process that serves nothing else over HTTP.

It runs on the event loop that the process does its work by: no answer within the probe's time says that the loop does
not turn. One request to a connection, GET and HEAD, no body: a dozen lines of HTTP, for which a worker needs no
framework.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import structlog

from hotswap_stream.observability.exposition import CONTENT_TYPE, exposition
from hotswap_stream.observability.metric_spec import Family

_log = structlog.get_logger(__name__)

HEAD_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 32
"""At once; more are closed unanswered."""
REQUEST_SECONDS_MAX = 5.0
"""Time for a request to come in whole."""
ANSWER_SECONDS_MAX = 10.0
"""Time for an answer to be taken."""
TEXT = "text/plain; charset=utf-8"

Shown = Callable[[], str | None]
"""Returns what is in the way; None while nothing is."""

_Answer = tuple[HTTPStatus, str, str]
"""Status, content type, body."""


class MetricsServer:
    """Serve what the callables say at each request. `start` it, and `stop` it on the same event loop."""

    def __init__(self, *, families: Callable[[], Iterable[Family]], live: Shown, ready: Shown) -> None:
        self._families = families
        self._probes = {"/livez": ("live", live), "/readyz": ("ready", ready)}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port. OSError, OverflowError.

        Args:
            host: Where.
            port: 0 takes a free one.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES_MAX)
        bound: int = self._server.sockets[0].getsockname()[1]
        _log.info("metrics_served", host=host, port=bound)
        return bound

    async def start_here(self, path: Path) -> None:
        """Listen at a socket of this machine, in the place of what a former process left there. OSError."""
        with suppress(FileNotFoundError):
            os.unlink(path)
        self._server = await asyncio.start_unix_server(self._serve, str(path), limit=HEAD_BYTES_MAX)

    async def stop(self) -> None:
        """Listen no more, and cut off whoever is connected."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # it sends too slowly, or too much, takes nothing, or went away
        finally:
            self._open.discard(writer)

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        allowed = method in (b"GET", b"HEAD")
        status, content_type, body = self._found(path) if allowed else _text(HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD")
        content = body.encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(content)}",
            "Cache-Control: no-store",
            "Connection: close",
            *([] if allowed else ["Allow: GET, HEAD"]),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == b"HEAD" else content)

    def _found(self, path: str) -> _Answer:
        try:
            if path == "/metrics":
                return HTTPStatus.OK, CONTENT_TYPE, exposition(self._families())
            if path in self._probes:
                word, probe = self._probes[path]
                trouble = probe()
                return _text(HTTPStatus.OK, word) if trouble is None else _text(HTTPStatus.SERVICE_UNAVAILABLE, trouble)
        except Exception:  # noqa: BLE001 - figures that cannot be made must not end the process, nor go unseen
            _log.exception("metrics_not_made", path=path)
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log of the process")
        return _text(HTTPStatus.NOT_FOUND, "/metrics, /livez, /readyz")


def _text(status: HTTPStatus, text: str) -> _Answer:
    return status, TEXT, f"{text}\n"
