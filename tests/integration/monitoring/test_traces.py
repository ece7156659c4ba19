"""Traces of a running system, as a collector gets them."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hotswap_stream.observability.tracing import active
from tests.support.stages.asking import INPUT, open_served
from tests.support.stages.serving import MODEL


class Collector(BaseHTTPRequestHandler):
    """Takes spans by OTLP over HTTP."""

    spans: ClassVar[list[Span]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = ExportTraceServiceRequest.FromString(body) if self.path == "/v1/traces" else None
        for resource in taken.resource_spans if taken else ():
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    spans: list[Span] = []
    handler = type("Own", (Collector,), {"spans": spans})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()


def fresh(*, kept: bool = True) -> tuple[str, bytes, bytes]:
    """A trace context, with its trace and its span."""
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return f"00-{trace}-{span}-0{int(kept)}", bytes.fromhex(trace), bytes.fromhex(span)


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}


async def test_a_request_is_followed_through_kafka_and_a_command_up_to_its_swap(kafka: str, tmp_path: Path) -> None:
    asked, by_topic, left_out, commanded = fresh(), fresh(), fresh(kept=False), fresh()
    with collector() as (url, spans):
        async with open_served(kafka, tmp_path, otlp_url=url) as served:
            body, path = {"inputs": [INPUT]}, f"/v2/models/{MODEL}/infer"
            answer = await served.http.post(path, json=body, headers={"traceparent": asked[0], "X-Request-Id": "r-7"})
            assert (answer.status_code, answer.headers["x-request-id"]) == (200, "r-7")
            await served.http.post(path, json=body, headers={"traceparent": left_out[0]})
            untraced = await served.http.post(path, json=body, headers={"X-Request-Id": "no such id"})
            assert len(untraced.headers["x-request-id"]) == 32
            async with served.topic_client() as client:
                await client.infer(MODEL, {"x": np.ones((1, 4), np.float32)}, traceparent=by_topic[0])
            switch = f"/api/models/{MODEL}/switch"
            headers = {"traceparent": commanded[0]}
            switched = await served.http.post(switch, json={"model_version": "v2"}, headers=headers)
            assert switched.status_code == 200, switched.text
            while (await served.http.post(path, json=body)).json()["model_version"] != "v2":
                """The worker swaps when it reads the event."""
        assert active() is None

    def of(trace: bytes) -> dict[str, Span]:
        return {span.name: span for span in spans if span.trace_id == trace}

    topic = f"{served.prefix}.requests.{MODEL}"
    way = of(asked[1])
    assert set(way) == {"POST /v2/models/{model_name}/infer", f"send requests.{MODEL}", f"process {topic}"}

    server = way["POST /v2/models/{model_name}/infer"]
    send, process = way[f"send requests.{MODEL}"], way[f"process {topic}"]
    assert (server.parent_span_id, send.parent_span_id, process.parent_span_id) == (
        asked[2],
        server.span_id,
        send.span_id,
    )
    assert (server.kind, send.kind, process.kind) == (
        Span.SPAN_KIND_SERVER,
        Span.SPAN_KIND_PRODUCER,
        Span.SPAN_KIND_CONSUMER,
    )
    assert attributes(server)["http.response.status_code"] == 200
    assert attributes(server)["hotswap.request_id"] == "r-7"
    assert attributes(process)["hotswap.model_version"] == "v1"
    assert attributes(process)["messaging.destination.name"] == topic
    assert send.start_time_unix_nano <= process.end_time_unix_nano
    (compute,) = [
        span
        for span in spans
        if span.name == f"compute {MODEL}" and any(link.span_id == send.span_id for link in span.links)
    ]
    assert attributes(compute)["hotswap.model_version"] == "v1"
    assert of(by_topic[1])[f"process {topic}"].parent_span_id == by_topic[2]
    assert of(left_out[1]) == {}
    command = of(commanded[1])
    ordered, swap = command["POST /api/models/{model_name}/switch"], command[f"swap {MODEL}"]
    assert (ordered.parent_span_id, swap.parent_span_id) == (commanded[2], ordered.span_id)
    assert attributes(swap)["hotswap.model_version"] == "v2"
    assert attributes(swap)["hotswap.registry_offset"] == switched.json()["offset"]
