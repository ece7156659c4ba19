"""What traces cost a request: off, on for requests that nobody traces, and on for one that is traced.

    python -m benchmarks.tracing_cost

The ASGI layer that gives ids and spans is called around an application that does nothing; its spans go to an exporter
that drops them, so what is told is the CPU of the span itself. The same loop without the layer is the comparison.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.contextvars import clear_contextvars

from hotswap_stream.api.monitoring.traced import Traced
from hotswap_stream.observability import tracing

ROUNDS, CALLS = 20, 2_000
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class _Dropped(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Have nothing to end."""


async def _application(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _microseconds(app: Any, headers: list[tuple[bytes, bytes]]) -> float:
    async def send(_message: Any) -> None:
        """Take it."""

    scope = {"type": "http", "method": "POST", "path": "/v2/models/digits/infer", "headers": headers}
    best = float("inf")
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        for _ in range(CALLS):
            await app(scope, None, send)
        best = min(best, (time.perf_counter() - began_s) / CALLS * 1e6)  # others share the machine
    clear_contextvars()
    return best


async def _measured() -> None:
    untraced: list[tuple[bytes, bytes]] = [(b"x-request-id", b"r-1")]
    traced = [*untraced, (b"traceparent", PARENT)]
    bare = await _microseconds(_application, untraced)
    off = await _microseconds(Traced(_application), untraced)
    on = tracing.tracing_by(_Dropped(), "benchmark")
    tracing.activate(on)
    try:
        nobody = await _microseconds(Traced(_application), untraced)
        spanned = await _microseconds(Traced(_application), traced)
    finally:
        tracing.activate(None)
        on.close()
    print(f"without the layer: {bare:.1f} us a request")
    print(f"off: {off:.1f} us; on, for what nobody traces: {nobody:.1f} us; on, for what is traced: {spanned:.1f} us")


def main() -> None:
    """Print the fastest of the rounds."""
    asyncio.run(_measured())


if __name__ == "__main__":
    main()
