"""The spans of a batch whose requests belong to traces: one for each request, and one for the pass they shared."""

import time

from hotswap_stream.observability.tracing import LINKS_MAX, Tracing
from hotswap_stream.workers.inference.batches.computed import ComputedBatch

NS = 1_000_000


def trace_swap(
    tracing: Tracing, model_name: str, model_version: str, registry_offset: int, traceparent: str | None, began_s: float
) -> None:
    """Make the span from the append of an event to the moment at which the version that it chose may answer.

    Args:
        tracing: Makes it.
        model_name: Of the model.
        model_version: Answers from now on.
        registry_offset: Of the event.
        traceparent: The event's, from the command that asked for it.
        began_s: When the event was appended, in seconds since 1970.
    """
    attributes: dict[str, str | int] = {
        "hotswap.model_name": model_name,
        "hotswap.model_version": model_version,
        "hotswap.registry_offset": registry_offset,
    }
    ended_ns = time.time_ns()
    # By the log's clock and by this machine's, which may differ.
    span = tracing.begin(
        f"swap {model_name}", "consumer", traceparent, attributes, start_ns=min(round(began_s * 1e9), ended_ns)
    )
    span.end(ended_ns)


def trace_batch(tracing: Tracing, model_name: str, batch: ComputedBatch) -> None:
    """Make the spans of a batch whose answers were handed to Kafka. In the loop's thread.

    A request that brought no trace context has no span: nobody would find it. The passes link to the first 128
    requests, and each request's span has the version that answered it.
    """
    asked = [
        (index, entry, entry.headers.traceparent.decode("latin-1"))
        for index, entry in enumerate(batch.chosen.entries)
        if entry.headers is not None and entry.headers.traceparent is not None
    ]
    if not asked:
        return
    ended_ns = time.time_ns()
    began_ns = min((round(group.started_ms * NS) for group in batch.groups), default=ended_ns)
    versions: dict[int, str] = {}
    for group in batch.groups:
        chosen = group.chosen
        versions.update(dict.fromkeys(chosen.indexes, chosen.lease.model_version))
        of_group = set(chosen.indexes)
        span = tracing.begin(
            f"compute {model_name}",
            "internal",
            None,
            {
                "hotswap.model_name": model_name,
                "hotswap.model_version": chosen.lease.model_version,
                "hotswap.registry_offset": chosen.lease.registry_offset,
                "hotswap.executor": group.executor or "none",
                "messaging.batch.message_count": len(chosen.requests),
            },
            links=[text for index, _, text in asked if index in of_group][:LINKS_MAX],
            start_ns=round(group.started_ms * NS),
        )
        span.end(round((group.started_ms + group.compute_ms) * NS))
    for index, entry, text in asked:
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.operation.name": "process",
            "messaging.destination.name": entry.record.topic,
            "messaging.destination.partition.id": str(entry.record.partition),
            "messaging.kafka.offset": entry.record.offset,
            "hotswap.model_name": model_name,
        }
        if (version := versions.get(index)) is not None:
            attributes["hotswap.model_version"] = version
        span = tracing.begin(f"process {entry.record.topic}", "consumer", text, attributes, start_ns=began_ns)
        span.end(ended_ns)
