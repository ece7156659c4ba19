"""What a graph cannot say, as queries and bodies have it."""

from typing import Annotated

from litestar.params import QueryParameter
from msgspec import Meta, Struct

from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.application.artifacts.bundle import FILES_MAX
from hotswap_stream.application.artifacts.manifest import LABELS_MAX, TENSORS_MAX, Batching, Shape
from hotswap_stream.application.artifacts.trial import ModelOptions, parse_shapes

LABELS_IN_QUERY_MAX = 1_000
"""The head of a request has room for some tens of KiB; a body has more."""
DIGEST = r"^sha256:[0-9a-f]{64}$"

DigestInQuery = Annotated[
    str | None, QueryParameter(pattern=DIGEST, description="Of the body, `sha256:<hex>`; checked when all is here.")
]
LabelsInQuery = Annotated[
    list[str] | None,
    QueryParameter(
        name="label",
        max_items=LABELS_IN_QUERY_MAX,
        description="Name of a class, for the columns of the first output in order; repeat for each. More than 1,000, "
        "or long ones, go by /api/artifacts/from-uploads.",
    ),
]
WarmUpInQuery = Annotated[
    list[str] | None,
    QueryParameter(
        name="warm_up",
        max_items=TENSORS_MAX,
        description="A usual shape of an input, such as `pixels=1x3x224x224`; repeat for more.",
    ),
]
BatchingInQuery = Annotated[
    Batching | None,
    QueryParameter(
        description="`rows`: the first dimension is the batch; `request`: each request is a pass of its own. Default: "
        "found out."
    ),
]
NonFiniteInQuery = Annotated[bool, QueryParameter(description="Whether NaN and infinity may go in and come out.")]

UploadId = Annotated[str, Meta(max_length=128)]


class FromUploadsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which uploads become an artifact, and what the graph cannot say."""

    file: UploadId
    """The upload that is the model."""
    beside: Annotated[dict[str, UploadId], Meta(max_length=FILES_MAX - 1)] = {}
    """Uploads of files with weights of the graph, by the names that the graph has for them."""
    labels: Annotated[tuple[str, ...], Meta(max_length=LABELS_MAX)] = ()
    """Names of the classes that the columns of the first output stand for."""
    warm_up: Annotated[dict[str, Shape], Meta(max_length=TENSORS_MAX)] = {}
    """Input → a usual shape."""
    batching: Batching | None = None
    """`rows`: the first dimension is the batch; `request`: each request is a pass of its own. Default: found out."""
    allow_non_finite: bool = False
    """Whether NaN and infinity may go in and come out."""

    @property
    def options(self) -> ModelOptions:
        """Return what the graph cannot say."""
        return ModelOptions(
            labels=self.labels, warm_up=self.warm_up, batching=self.batching, allow_non_finite=self.allow_non_finite
        )


def options_of(
    labels: list[str] | None, warm_up: list[str] | None, batching: Batching | None, allow_non_finite: bool
) -> ModelOptions:
    """Return what a query says. ProblemError (422) for a shape that cannot be read."""
    try:
        shapes = parse_shapes(warm_up or [])
    except ValueError as error:
        raise ProblemError(422, "invalid-value", f"warm_up: {error}") from error
    return ModelOptions(
        labels=tuple(labels or ()), warm_up=shapes, batching=batching, allow_non_finite=allow_non_finite
    )
