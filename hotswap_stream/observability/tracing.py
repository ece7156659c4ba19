"""Traces by OpenTelemetry: from an HTTP request or a producer through Kafka, batch and swap to the answer.

Off unless an address of a collector is configured: then `active()` is None, and nothing of OpenTelemetry is imported.
Names and attributes follow OpenTelemetry's conventions for messaging, which are still in development.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from hotswap_stream import __version__
from hotswap_stream.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

Kind: TypeAlias = Literal["server", "producer", "consumer", "internal"]
Attributes: TypeAlias = Mapping[str, str | int | float | bool]

TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
SPANS_WAITING_MAX = 8_192
"""What is made faster than the collector takes it is dropped, and counted by the exporter."""
EXPORT_SECONDS_MAX = 10.0
LINKS_MAX = 128


class Tracing:
    """Makes the spans of this process."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("hotswap-stream", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = {
            "server": SpanKind.SERVER,
            "producer": SpanKind.PRODUCER,
            "consumer": SpanKind.CONSUMER,
            "internal": SpanKind.INTERNAL,
        }

    def begin(
        self,
        name: str,
        kind: Kind,
        traceparent: str | None,
        attributes: Attributes | None = None,
        *,
        links: Sequence[str] = (),
        start_ns: int | None = None,
    ) -> "Span":
        """Begin a span; whoever begins it ends it.

        Args:
            name: Of few values: of a route or a topic, not of a request.
            kind: Which side of what.
            traceparent: W3C trace context of its parent; None, or one that cannot be read: a trace of its own.
            attributes: What is known of it.
            links: Trace contexts of what it belongs to besides; at most the first 128 count.
            start_ns: Nanoseconds since 1970; None: now.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, get_current_span

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        context = self._propagator.extract(carrier, Context())
        linked = [
            get_current_span(self._propagator.extract({"traceparent": text}, Context())).get_span_context()
            for text in links[:LINKS_MAX]
        ]
        return self._tracer.start_span(
            name,
            context=context,
            kind=self._kinds[kind],
            attributes=dict(attributes or {}),
            links=[Link(each) for each in linked if each.is_valid],
            start_time=start_ns,
        )

    @contextmanager
    def span(
        self, name: str, kind: Kind, traceparent: str | None, attributes: Attributes | None = None
    ) -> Iterator["Span"]:
        """Begin a span, and end it with the block; an error that leaves the block is its status."""
        from opentelemetry.trace import StatusCode

        span = self.begin(name, kind, traceparent, attributes)
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}"[:500])
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what waits, for ten seconds at most."""
        self._provider.shutdown()


def traceparent_of(span: "Span") -> str:
    """Return the W3C trace context that names the span as parent."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the id of a trace, for logs; None where there is none."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) > 1 else None


class _Active:
    tracing: Tracing | None = None


def active() -> Tracing | None:
    """Return what makes spans in this process; None where traces are off."""
    return _Active.tracing


def activate(tracing: Tracing | None) -> None:
    """Make spans by this from now on; None: make none."""
    _Active.tracing = tracing


@contextmanager
def tracing_to(url: str | None, service: str) -> Iterator[None]:
    """Send the spans that this process makes inside the block to a collector.

    Args:
        url: Where a collector takes OTLP by HTTP, such as http://collector:4318; None: traces are off.
        service: Which process this is.

    Raises:
        ConfigurationError: OpenTelemetry is not installed, or the address is none.
    """
    if url is None:
        yield
        return
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"HOTSWAP_OTLP_URL is {url[:200]!r}; an address such as http://collector:4318 is needed"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "HOTSWAP_OTLP_URL is set, and OpenTelemetry is not installed: pip install 'hotswap-stream[tracing]'"
        ) from error
    exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS_MAX)
    tracing = tracing_by(exporter, service)
    before = active()
    activate(tracing)
    try:
        yield
    finally:
        activate(before)
        tracing.close()


def tracing_by(exporter: "SpanExporter", service: str) -> Tracing:
    """Return what makes spans and hands them, some at once and in a thread of its own, to an exporter."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON),  # whoever began a trace has chosen whether it is kept
        # Nothing of the environment: only what this process says of itself.
        resource=Resource({"service.name": f"hotswap-{service}", "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=SPANS_WAITING_MAX))
    return Tracing(provider)
