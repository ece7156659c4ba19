"""Series whose steps lie in several partitions, so that no window of theirs fills.

It happens where producers of one model hash keys differently. What workers keep says so, whoever kept it: a windows
topic has the series of every partition by their keys.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from hotswap_events.inference.windows import WindowStatusRecord
from hotswap_stream.application.descriptions.text import printable, shortened
from hotswap_stream.application.windows.fold import WindowFold

SPLIT_NAMED_MAX = 3

WindowFolds = Mapping[int, WindowFold[WindowStatusRecord]]
"""By request partition; empty where no windows were ever kept."""

Homes = Callable[[bytes, int], Collection[int]]
"""Where Kafka's partitioner puts a key in a topic with this number of partitions, or put it before the topic grew."""


class SplitSeries(Struct, frozen=True, kw_only=True):
    """Series of one model that are in several partitions."""

    count: int
    of: int
    """All series there are."""
    examples: tuple[str, ...]
    """Some of them, each with its partitions."""


class SplitView(Protocol):
    """Models whose newest steps are looked at now and then, in the background."""

    def watch(self, model_names: Iterable[str]) -> None:
        """Look at these models from here on, and at no others."""
        ...

    def of(self, model_name: str) -> SplitSeries | None:
        """Return what was found at the last look; None where nobody looked yet, or the model takes no windows."""
        ...


def split_keys(folds: WindowFolds, homes: Homes) -> dict[bytes, list[int]]:
    """Return the series that lie in several partitions though the growth of the topic does not explain it, and where.

    A series that kept to the common partitioner while its topic grew is in its former partition, too, and is fine.
    """
    partitions = len(folds)
    return {
        key: found
        for key, found in _places(folds).items()
        if len(found) > 1 and not set(found) <= set(homes(key, partitions))
    }


def split_series(folds: WindowFolds, homes: Homes) -> SplitSeries:
    """Return how many `split_keys` there are, and some of them."""
    split = sorted(split_keys(folds, homes).items())
    return SplitSeries(
        count=len(split),
        of=len(_places(folds)),
        examples=tuple(
            f"{printable(shortened(key.decode(errors='backslashreplace')))} in {', '.join(map(str, found))}"
            for key, found in split[:SPLIT_NAMED_MAX]
        ),
    )


def _places(folds: WindowFolds) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for partition, fold in sorted(folds.items()):
        for key, _record, _writers in fold.windows():
            places.setdefault(key, []).append(partition)
    return places
