"""Random commands about datasets and how long requests are kept, most of them legal."""

from random import Random
from typing import Any

from hotswap_events.commands import AnyCommand
from hotswap_events.dataset import OffsetRange, RequestRetention
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.datasets import EVERYTHING, query_of, record_dataset, set_retention

_NAMES = (None, None, "week", "month", "No Name")


def dataset_command(_state: ModelState, seed: int, **attributes: Any) -> AnyCommand:
    """A command that depends on the seed alone."""
    random = Random(seed)
    if random.random() < 0.3:
        return set_retention(RequestRetention(seconds=random.choice((10, 60, 3_600))), **attributes)
    first = random.randrange(3)
    query = random.choice((query_of(), EVERYTHING, query_of(ranges=(OffsetRange(partition=0, first=first, until=2),))))
    return record_dataset(
        random.choice("abc"), random.choice(_NAMES), **{"query": query, "actor": "alice", **attributes}
    )
