"""A batch after its forward passes: outputs of each group, or what went wrong with which request."""

from collections.abc import Mapping

from msgspec import Struct

from hotswap_stream.workers.inference.batches.batches import Batch, Group
from hotswap_stream.workers.inference.requests.tensors import Array


class ComputedGroup(Struct, frozen=True, gc=False):
    """What the forward pass made of a group."""

    chosen: Group
    outputs: dict[str, Array] | None
    """The rows of all requests in their order; None if the pass brought nothing for any of them."""
    failures: Mapping[int, str]
    """Position of a request in the group → what went wrong with it."""
    by_input: frozenset[int]
    """The failures that the input is to blame for: they say nothing against the version."""
    started_ms: float
    """When the forward pass began, in milliseconds since 1970."""
    compute_ms: float
    executor: str | None
    """What computed it."""

    @property
    def version_failures(self) -> int:
        """How many requests the version is to blame for."""
        failed = len(self.chosen.requests) if self.outputs is None else len(self.failures)
        return failed - len(self.by_input)


class ComputedBatch(Struct, frozen=True, gc=False):
    """A batch that can be answered."""

    chosen: Batch
    groups: list[ComputedGroup]
    compute_ms: float
    """How long all its passes took together."""
