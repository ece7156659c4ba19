"""One inference as the clients take it and hand it out."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from hotswap_events.inference.messages import InferRequest, InferResponse, RequestedOutput
from hotswap_stream.client.tensors import infer_tensors, output_value


class Inference(Struct, frozen=True, kw_only=True):
    """An answer, with all that is needed to find it, and what gave it, in the log."""

    outputs: dict[str, Any]
    """By name: numpy arrays where numpy is installed, else nested lists."""
    model_name: str
    model_version: str
    artifact_digest: str | None
    registry_offset: int | None
    """Where the registry event is that put the version into production."""
    partition: int
    """Where request and answer are, each in its topic."""
    offset: int
    """Where the request is in its partition."""
    worker: str
    id: str | None
    batch_size: int | None
    """Rows in the forward pass."""
    queue_ms: float | None
    """From the request's arrival to the start of the forward pass."""
    compute_ms: float | None
    """Duration of the forward pass."""
    executor: str | None
    """What computed it: `eager`, `onnxruntime`, `openvino` …"""
    precision: str | None
    """With which numbers, where these are not the artifact's own: `bf16`."""
    round_trip_ms: float
    """From the call to the answer, as the client saw it."""


def infer_request(inputs: Mapping[str, Any], outputs: Sequence[str], request_id: str | None) -> InferRequest:
    """Return the request for these inputs (see `infer_tensors`) and outputs; without outputs all are wanted.

    Raises:
        ValueError: An input is no tensor.
    """
    return InferRequest(
        inputs=infer_tensors(inputs), id=request_id, outputs=[RequestedOutput(name=name) for name in outputs]
    )


def inference_of(response: InferResponse, round_trip_ms: float) -> Inference:
    """Return an answer with its outputs as arrays."""
    facts = response.parameters
    return Inference(
        outputs={tensor.name: output_value(tensor) for tensor in response.outputs},
        model_name=response.model_name,
        model_version=response.model_version,
        artifact_digest=facts.artifact_digest,
        registry_offset=facts.registry_offset,
        partition=facts.request_partition,
        offset=facts.request_offset,
        worker=facts.worker,
        id=response.id,
        batch_size=facts.batch_size,
        queue_ms=facts.queue_ms,
        compute_ms=facts.compute_ms,
        executor=facts.executor,
        precision=facts.precision,
        round_trip_ms=round_trip_ms,
    )
