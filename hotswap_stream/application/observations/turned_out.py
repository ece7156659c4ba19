"""How far an answer was from what turned out: its numbers from the true ones, its order from what was chosen. Pure.

Nothing in an answer or in feedback can make these fail, or give a figure that is no number.
"""

import math
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from hotswap_events.inference.observation import Item, TrueValue
from hotswap_events.rollouts.strategy import AT_MAX, ERROR_MAX

RANKED_MAX = AT_MAX
"""Places of an order that are told apart; what comes after them is a miss."""

TINY = 1e-100
"""Below it, squares of numbers are none any more."""


class Ranking(Struct, frozen=True, gc=False):
    """The best items of an answer."""

    places: dict[Item, int]
    """Item → its place, from 0, of the first `RANKED_MAX`. Items with equal scores are all at the last of their places,
    so that a model that scores all alike finds nothing."""
    held: Literal["scores", "ids", "names"]
    """What the answer holds: a score for each item by its index, or the items themselves as integers or texts."""
    total: int
    """Items that it scored or listed."""


class NumberErrors(Struct, frozen=True, gc=False):
    """Errors of one answer, each the mean over its numbers."""

    absolute: float
    squared: float
    percentage: float | None
    """As a part of the true number; None where all of them are 0."""


class ItemPlaces(Struct, frozen=True, gc=False):
    """Where an answer had the items that were chosen."""

    places: tuple[int, ...]
    """In order, of those among the best `RANKED_MAX`."""
    chosen: int
    """How many were chosen, in whatever place."""

    def hit(self, first: int) -> bool:
        """Return whether any of them was among the first `first` items."""
        return bool(self.places) and self.places[0] < first

    @property
    def reciprocal_rank(self) -> float:
        """1 where the best item was chosen, 1/2 for the second one …; 0 where none is among the best."""
        return 1 / (self.places[0] + 1) if self.places else 0.0

    def ndcg(self, first: int) -> float:
        """Return the discounted gain among the first `first` items, each item worth 1, by the largest possible one."""
        gained = sum(_discount(place) for place in self.places if place < first)
        return min(1.0, gained / sum(_discount(place) for place in range(min(first, self.chosen))))


def errors_of(numbers: Sequence[float], value: TrueValue) -> NumberErrors | None:
    """Return how far an answer's numbers are from the true ones; None where there are not as many of both.

    A number that is none (NaN, infinity) is as wrong as an error can be.
    """
    true = value if isinstance(value, tuple) else (value,)
    if not numbers or len(numbers) != len(true):
        return None
    errors = [_error(given, wanted) for given, wanted in zip(numbers, true, strict=True)]
    parts = [min(ERROR_MAX, error / abs(wanted)) for error, wanted in zip(errors, true, strict=True) if wanted]
    count = len(errors)
    return NumberErrors(
        absolute=_mean(errors, count),
        squared=_mean([error * error for error in errors], count),
        percentage=_mean(parts, len(parts)) if parts else None,
    )


def places_of(ranking: Ranking, items: Sequence[Item]) -> ItemPlaces | None:
    """Return where the items are; None where one cannot be among what the answer holds."""
    if not items or not all(_may_hold(ranking, item) for item in items):
        return None
    chosen: dict[Item, None] = dict.fromkeys(map(str, items) if ranking.held == "names" else items)
    places = sorted(ranking.places[item] for item in chosen if item in ranking.places)
    return ItemPlaces(tuple(places), len(chosen))


def _may_hold(ranking: Ranking, item: Item) -> bool:
    """Return whether the item can be one of these; where they are texts, 7 is "7"."""
    if ranking.held == "scores":
        return isinstance(item, int) and 0 <= item < ranking.total
    return ranking.held == "names" or isinstance(item, int)


def _error(given: float, wanted: float) -> float:
    error = abs(given - wanted)
    if not error <= ERROR_MAX:  # NaN is not
        return ERROR_MAX
    return 0.0 if error < TINY else error


def _mean(values: Sequence[float], count: int) -> float:
    return math.fsum(values) / count


def _discount(place: int) -> float:
    return 1 / math.log2(place + 2)
