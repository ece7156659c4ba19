"""What is looked for when partitions are taken over, and what is found: see `loop.taking_over`."""

from confluent_kafka import KafkaException
from msgspec import Struct

from hotswap_stream.workers.inference.windows.partition import PartitionWindows


class Found(Struct, frozen=True):
    """Where to go on, and the windows as they were right there."""

    positions: dict[int, int]
    windows: dict[int, PartitionWindows]
    given_up: frozenset[int]
    """Those whose place was told by who had them before."""


class Search(Struct):
    """Partitions that were given together."""

    wanted: frozenset[int]
    """Those that are still looked for. Replaced as a whole, by the life's thread alone."""
    generation: int
    left: frozenset[int] | None = None
    """Those that can be served and were not found yet; None before the first look. All below is the other thread's."""
    looks: int = 0
    """Since something was found."""
    next_s: float = 0.0
    found_s: float = 0.0
    """When something was found the last time, or the search began."""
    began_s: float = 0.0
    leaving: bool = False
    """Whether somebody still writes the last answers of some, as the last look found."""


class Look(Struct, frozen=True):
    """What one look brought."""

    search: Search
    found: Found | None = None
    left: frozenset[int] = frozenset()
    failed: KafkaException | None = None
    """Why nothing was found for long; it is looked for on."""
