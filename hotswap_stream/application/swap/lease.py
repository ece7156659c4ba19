"""A lease: the right to compute with a loaded version, which stays in memory until the lease is released."""

from msgspec import Struct

from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.domain.serving.request_plan import RequestPlan


class Lease(Struct, frozen=True):
    """A loaded version that stays in memory, and the registry offset of the event that chose it."""

    model_version: str
    artifact_digest: str
    registry_offset: int
    model: LoadedModel
    fallback_for: str | None = None
    """The active version, while this one answers in its place."""
    plan: RequestPlan | None = None
    """Where else requests go at this registry offset; None: this version answers all that name none."""
    precision: str | None = None
    """What answers say of the numbers it is computed with; None: those of its artifact."""
