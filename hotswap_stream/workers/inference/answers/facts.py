"""Where an answer comes from: the facts that every answer carries, made in one place."""

from msgspec import Struct

from hotswap_events.inference.messages import AnswerFacts, WindowFacts
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.batches.computed import ComputedGroup


class PassFacts(Struct, frozen=True, gc=False):
    """What all answers of one forward pass say of it."""

    batch_size: int
    padded_batch_size: int
    executor: str | None
    compute_ms: float
    precision: str | None


def pass_facts(group: ComputedGroup) -> PassFacts:
    """Return what the answers to a group's requests say of its forward pass."""
    rows = group.chosen.row_count
    lease = group.chosen.lease
    return PassFacts(rows, lease.model.padded_rows(rows), group.executor, round(group.compute_ms, 3), lease.precision)


def answer_facts(
    worker: str,
    partition: int,
    offset: int,
    lease: Lease | None = None,
    *,
    computed: PassFacts | None = None,
    queue_ms: float | None = None,
    pinned: bool = False,
    window: WindowFacts | None = None,
) -> AnswerFacts:
    """Return the facts of one answer.

    Args:
        worker: Who answers.
        partition: The request's partition.
        offset: The request's offset in it.
        lease: The version that answers, if any was chosen.
        computed: The forward pass that brought the outputs, if there was one.
        queue_ms: Milliseconds from the request's timestamp to the start of that pass.
        pinned: The request names the version.
        window: The request's window, where windows are kept.
    """
    if lease is None:
        return AnswerFacts(request_partition=partition, request_offset=offset, worker=worker, window=window)
    batch_size, padded, executor, compute_ms, precision = (
        (None, None, None, None, None)
        if computed is None
        else (
            computed.batch_size,
            computed.padded_batch_size,
            computed.executor,
            computed.compute_ms,
            computed.precision,
        )
    )
    return AnswerFacts(
        request_partition=partition,
        request_offset=offset,
        worker=worker,
        artifact_digest=lease.artifact_digest,
        registry_offset=lease.registry_offset,
        fallback_for=lease.fallback_for,
        pinned=pinned,
        batch_size=batch_size,
        padded_batch_size=padded,
        executor=executor,
        precision=precision,
        queue_ms=queue_ms,
        compute_ms=compute_ms,
        window=window,
    )
