"""Requests and answers, on `hotswap.requests.<model>` and `hotswap.responses.<model>`.

They are bodies of the Open Inference Protocol v2.

Protocol: https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
As JSON a tensor's `data` is a list, flat or nested, row-major. As msgpack it may be bytes: raw, little-endian. Elements
of datatype BYTES are texts in lists; raw, each is its length in 4 bytes, little-endian, and its UTF-8 bytes.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

JSON_CONTENT_TYPE = "application/json"
MSGPACK_CONTENT_TYPE = "application/msgpack"

NumberDatatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"
]
Datatype = NumberDatatype | Literal["BYTES"]
"""BYTES: texts of any length."""

DATATYPE_BYTES: dict[str, int] = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Datatype → bytes of one element. Elements of BYTES have lengths of their own."""

RequestId = Annotated[str, Meta(max_length=256)]
Dimension = Annotated[int, Meta(ge=0)]

ErrorCode = Literal[
    "request-unreadable",
    "wrong-content-type",
    "wrong-input",
    "too-large",
    "no-active-version",
    "unknown-model",
    "unknown-version",
    "version-unavailable",
    "duplicate-id",
    "deadline-expired",
    "model-disabled",
    "circuit-open",
    "model-failure",
]


class InferTensor(Struct, frozen=True, kw_only=True, gc=False):
    """One tensor of a request or an answer."""

    name: str
    shape: Annotated[list[Dimension], Meta(max_length=8)]
    datatype: Datatype
    data: list[Any] | bytes
    """In JSON a list; in msgpack a list or raw bytes."""


class RequestedOutput(Struct, frozen=True, kw_only=True, gc=False):
    """An output the caller wants; without any, all are answered."""

    name: str


class InferRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A request: the inputs of one inference. The first dimension of each input is the batch."""

    inputs: Annotated[list[InferTensor], Meta(min_length=1, max_length=64)]
    id: RequestId | None = None
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] = []


class WindowFacts(Struct, frozen=True, kw_only=True, gc=False):
    """How far the window of the request's series is filled.

    On an answer of any kind it says that the steps of the request were taken in.
    """

    steps: int
    """There are, those of the request included."""
    needed: int
    """The version takes."""
    ready: bool
    """Whether there are enough. If not, an answer without outputs is all there is."""


class AnswerFacts(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where an answer comes from: enough to compute it again from the log."""

    request_partition: int
    request_offset: int
    worker: str
    artifact_digest: str | None = None
    registry_offset: int | None = None
    """Offset in the registry log of the event that chose the version: the last one that changed which version answers
    whom. That is a promotion; or the start, a change of weights or the end of a rollout; or a move of a circuit."""
    fallback_for: str | None = None
    """The active version that should have answered: its circuit is not closed."""
    pinned: bool = False
    """The request named the version; `registry_offset` is then the last of the model's events that was read."""
    batch_size: int | None = None
    """Rows in the forward pass that computed it."""
    padded_batch_size: int | None = None
    """Rows the forward pass was padded to: a row's bits depend on that, not on its neighbours."""
    executor: str | None = None
    """What computed it: `eager`, `onnxruntime` …"""
    precision: str | None = None
    """With which numbers, where it is not the artifact's own precision: `bf16`."""
    queue_ms: float | None = None
    """From the request's record timestamp to the start of the forward pass."""
    compute_ms: float | None = None
    """Duration of the forward pass."""
    window: WindowFacts | None = None
    """Only of versions that take a window of steps per series."""


class InferResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An answer."""

    model_name: str
    model_version: str
    outputs: list[InferTensor]
    parameters: AnswerFacts
    id: RequestId | None = None


class InferError(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An error answer: the request could not be served, and why. A copy of the request is in the dead letters."""

    model_name: str
    error: str
    error_code: ErrorCode
    parameters: AnswerFacts
    model_version: str | None = None
    id: RequestId | None = None
