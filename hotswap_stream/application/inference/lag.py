"""Port to the requests that wait in the models' topics."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class WaitingRequests(Struct, frozen=True, kw_only=True):
    """Requests of one model without an answer, at one time."""

    requests: int
    partitions: int
    largest_partition: int = 0
    """The most that wait in one partition."""
    standstill_seconds: float = 0.0
    """How long a partition in which requests wait has not moved, as far as that was looked at: see `Standstill`."""


class RequestLag(Protocol):
    """Says how many requests wait."""

    async def waiting(self, models: Mapping[str, float]) -> dict[str, WaitingRequests]:
        """Return what waits for these models; models without topics are left out.

        Args:
            models: Model name → threshold, in requests. A figure up to the threshold may be too high by what was
                answered lately; one above it is not.

        Raises:
            LogUnavailableError: The broker does not say in time.
        """
        ...
