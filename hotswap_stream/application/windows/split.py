"""Series whose steps lie in several partitions, so that no window of theirs fills. Pure.

It happens where producers of one model hash keys differently. What workers keep says so, whoever kept it: a windows
topic has the series of every partition by their keys.
"""

from collections.abc import Callable, Collection

from msgspec import Struct

from hotswap_stream.application.descriptions.text import printable, shortened
from hotswap_stream.application.windows.view import WindowFolds

SPLIT_NAMED_MAX = 3

Homes = Callable[[bytes, int], Collection[int]]
"""Where Kafka's own partitioner puts a key in a topic with so many partitions, or put it before the topic grew."""


class SplitSeries(Struct, frozen=True, kw_only=True):
    """Series of one model that are in several partitions."""

    count: int
    of: int
    """All series there are."""
    examples: tuple[str, ...]
    """Some of them, each with its partitions."""


def split_series(folds: WindowFolds, homes: Homes) -> SplitSeries:
    """Return the series that lie in several partitions though the growth of the topic does not explain it.

    A series that kept to the common partitioner while its topic grew is in its former partition, too, and is fine.
    """
    places: dict[bytes, list[int]] = {}
    for partition, fold in sorted(folds.items()):
        for key, _record, _writers in fold.windows():
            places.setdefault(key, []).append(partition)
    partitions = len(folds)
    split = sorted(
        (key, found)
        for key, found in places.items()
        if len(found) > 1 and not set(found) <= set(homes(key, partitions))
    )
    return SplitSeries(
        count=len(split),
        of=len(places),
        examples=tuple(
            f"{printable(shortened(key.decode(errors='backslashreplace')))} in {', '.join(map(str, found))}"
            for key, found in split[:SPLIT_NAMED_MAX]
        ),
    )
