"""What the first output of an answer says: a class, numbers, an order of items. Nothing in it can make this fail."""

import heapq
import math
from typing import Any

from hotswap_events.inference.messages import InferTensor
from hotswap_events.inference.observation import ITEM_CHARACTERS_MAX, VALUES_MAX, Item
from hotswap_stream.application.inference.tensor_values import flat_values
from hotswap_stream.application.observations.turned_out import RANKED_MAX, Ranking


def first_values(output: InferTensor, *, contents: bool = True) -> list[Any]:
    """Return the output's elements, row-major; none where nothing is read of them.

    Args:
        output: The first output of an answer.
        contents: Whether more than the label is read of it.
    """
    if not (contents and _is_read(output)) and not _is_row_of_scores(output):
        return []
    try:
        values = flat_values(output)
    except (ValueError, TypeError):
        return []
    return values if len(values) == math.prod(output.shape) else []  # not as its shape says


def label_in(output: InferTensor, values: list[Any]) -> int | None:
    """Return the class with the largest score of one row; None where the output holds no scores."""
    if not _is_row_of_scores(output) or not values or not all(_is_score(value) for value in values):
        return None
    return max(range(len(values)), key=values.__getitem__)


def numbers_in(output: InferTensor, values: list[Any]) -> tuple[float, ...]:
    """Return the output's numbers; none where they are too many, or something else is among them."""
    if len(values) > VALUES_MAX or not output.datatype.startswith(("FP", "INT", "UINT")):
        return ()
    numbers = [_number(value) for value in values]
    return tuple(number for number in numbers if number is not None) if None not in numbers else ()


def ranking_in(output: InferTensor, values: list[Any]) -> Ranking | None:
    """Return what one row ranks: by its scores, or as the list of items that it is; None where it is neither."""
    if not values or len(output.shape) != 2 or output.shape[0] != 1:
        return None
    if output.datatype.startswith("FP"):
        return _by_scores(values) if _is_row_of_scores(output) else None
    if output.datatype == "BYTES":
        return _as_listed([_text(value) for value in values], held_texts=True)
    if output.datatype.startswith(("INT", "UINT")):
        return _as_listed([value if type(value) is int else None for value in values], held_texts=False)
    return None


def _is_read(output: InferTensor) -> bool:
    return math.prod(output.shape) <= VALUES_MAX or (len(output.shape) == 2 and output.shape[0] == 1)


def _is_row_of_scores(output: InferTensor) -> bool:
    shape = output.shape
    return len(shape) == 2 and shape[0] == 1 and shape[1] >= 2 and output.datatype.startswith("FP")


def _is_score(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)


def _by_scores(values: list[Any]) -> Ranking:
    scored = (index for index, value in enumerate(values) if _is_score(value))
    best = heapq.nlargest(RANKED_MAX + 1, scored, key=values.__getitem__)
    places: dict[Item, int] = {}
    last = len(best) - 1
    for place in range(len(best) - 1, -1, -1):
        if values[best[place]] != values[best[last]]:
            last = place
        if last < RANKED_MAX:
            places[best[place]] = last
    return Ranking(places, "scores", len(values))


def _as_listed(items: list[Item | None], *, held_texts: bool) -> Ranking:
    places: dict[Item, int] = {}
    for place, item in enumerate(items[:RANKED_MAX]):
        if item is not None:
            places.setdefault(item, place)
    return Ranking(places, "names" if held_texts else "ids", len(items))


def _number(value: Any) -> float | None:
    """Return the number; NaN for null, as which JSON has it; None for anything else."""
    if value is None:
        return math.nan
    if type(value) not in (int, float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) and 0 < len(value) <= ITEM_CHARACTERS_MAX else None
