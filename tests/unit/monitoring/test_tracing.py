"""Where spans come from and where they do not: off by default, and names of few values."""

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.contextvars import clear_contextvars, get_contextvars

from hotswap_stream.api.monitoring.traced import Traced
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.observability import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def asked(method: str, path: str, *headers: tuple[bytes, bytes], status: int = 200) -> tuple[dict[str, Any], Any]:
    """The variables that logs would have meanwhile, and the headers of the answer."""
    seen: dict[str, Any] = {}
    sent: list[Any] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.update(get_contextvars(), passed_on=dict(scope["headers"]).get(b"traceparent"))
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    clear_contextvars()
    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    await Traced(app)(scope, None, send)  # type: ignore[arg-type]
    clear_contextvars()
    return seen, dict(sent[0]["headers"])


async def test_logs_name_the_request_and_its_trace() -> None:
    seen, answered = await asked("GET", "/api/models", (b"x-request-id", b"r-1"), (b"traceparent", PARENT.encode()))
    assert (seen["request_id"], seen["trace_id"]) == ("r-1", "0af7651916cd43dd8448eb211c80319c")
    assert answered[b"x-request-id"] == b"r-1"
    assert answered[b"x-content-type-options"] == b"nosniff"
    for wrong in (b"", b"a b", b"x" * 129, b"\xff", b"a\r\nb"):
        seen, answered = await asked("GET", "/api/models", (b"x-request-id", wrong), (b"traceparent", b"00-zz"))
        assert answered[b"x-request-id"] == seen["request_id"].encode() != wrong
        assert "trace_id" not in seen


async def test_commands_have_spans_and_what_nobody_traces_has_none() -> None:
    exporter = InMemorySpanExporter()
    on = tracing.tracing_by(exporter, "test")
    tracing.activate(on)
    try:
        path = "/api/models/digits/versions/v2/promote"
        seen, _ = await asked("POST", path, (b"traceparent", PARENT.encode()))
        failed, _ = await asked("POST", "/api/models/digits/switch", status=503)
        await asked("GET", "/api/models")
        await asked("POST", "/v2/models/digits/infer")
    finally:
        tracing.activate(None)
        on.close()
    promote, switch = exporter.get_finished_spans()
    assert promote.name == "POST /api/models/{model_name}/versions/{model_version}/promote"
    assert promote.parent is not None
    assert f"{promote.parent.span_id:016x}" == "b7ad6b7169203331"
    own = promote.get_span_context()
    assert own is not None
    assert seen["passed_on"] == f"00-{own.trace_id:032x}-{own.span_id:016x}-01".encode()
    assert (switch.parent, switch.status.is_ok) == (None, False)
    began = switch.get_span_context()
    assert began is not None
    assert failed["trace_id"] == f"{began.trace_id:032x}"


def test_off_means_that_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; import hotswap_stream.api.server; from hotswap_stream.observability.tracing import *\n"
        "with tracing_to(None, 'api'): assert active() is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_OTLP_URL"), tracing.tracing_to("collector:4318", "api"):
        """Never entered."""
    with tracing.tracing_to("http://127.0.0.1:1", "api"):
        assert tracing.active() is not None
    assert tracing.active() is None
