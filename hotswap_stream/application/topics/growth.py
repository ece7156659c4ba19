"""What became of a wish for more partitions."""

from msgspec import Struct


class Growth(Struct, frozen=True):
    """The number wanted; topic → partitions before, of those that grew, in the order in which they did."""

    partitions: int
    before: dict[str, int]
