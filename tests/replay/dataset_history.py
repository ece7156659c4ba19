"""The part of a release's history that has datasets, and how long requests are kept."""

from typing import Protocol

from hotswap_events.commands import AnyCommand
from hotswap_events.dataset import DatasetCounts, RequestRetention
from tests.support.samples.datasets import EVERYTHING, record_dataset, set_retention
from tests.support.samples.registry import register


class Sender(Protocol):
    """As much of the history's writers as a story needs."""

    async def send(self, *commands: AnyCommand) -> None:
        """One after the other; each is accepted."""


async def datasets(writers: Sender) -> None:
    """Datasets are built, one again by another query, one is a file; a name moves on; retention is set and changed."""
    await writers.send(
        register("v1"),
        record_dataset("one", "week", reason="the first week"),
        record_dataset("two", "week"),
        record_dataset("three", query=EVERYTHING),
        record_dataset("one", query=EVERYTHING),
        record_dataset("file", query=None, source="rows.npz", counts=DatasetCounts(rows=178)),
        set_retention(RequestRetention(seconds=86_400, partition_bytes=2**30)),
        set_retention(RequestRetention()),
    )
