"""A batch before its forward passes: which version was chosen for which request, and the inputs as one array each.

Each step of a batch has a type: chosen here, then computed (`ComputedBatch`), then written (`Answer`).
"""

from msgspec import Struct

from hotswap_events.inference.messages import ErrorCode, WindowFacts
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.tensors import Array
from hotswap_stream.workers.inference.windows.steps import WindowSteps


class RefusedRequest(Struct, frozen=True, gc=False):
    """Why a request cannot be given to a model."""

    code: ErrorCode
    reason: str


class Group(Struct, frozen=True, gc=False):
    """Requests of one forward pass: the same version, inputs that agree in all but the first dimension."""

    lease: Lease
    requests: list[Request]
    indexes: list[int]
    """The place of each request in the batch."""
    rows: list[int]
    """How many rows each request has; 1 where the version takes requests one by one."""
    inputs: dict[str, Array]
    """The rows of all requests in their order, and zeros after them where the pass is padded. The one request's tensors
    as they are where the version takes requests one by one."""
    probes: bool = False
    """Requests that try a version whose circuit is half-open."""
    pinned: bool = False
    """Requests that name the version."""
    windows: list[WindowFacts] | None = None
    """The window of each request, where the version takes windows."""

    @property
    def row_count(self) -> int:
        """Rows of the forward pass, without those that pad it."""
        return sum(self.rows)


class NotReady(Struct, frozen=True, gc=False):
    """A request whose series has too few steps for the version that should answer."""

    lease: Lease
    window: WindowFacts
    pinned: bool


class Batch(Struct, gc=False):
    """Requests and what was found wrong with some, in the order of their records."""

    entries: list[Request | Unreadable]
    groups: list[Group]
    refused: dict[int, RefusedRequest]
    """Index of an entry → why it was not given to a model."""
    leases: list[Lease]
    """Versions in use until the batch is answered."""
    taken: list[WindowSteps] | None = None
    """What each entry brought for a window, where windows are kept."""
    not_ready: dict[int, NotReady] = {}
    """Index of an entry → why it is answered without outputs."""
