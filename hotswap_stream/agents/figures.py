"""What the agents show of themselves to Prometheus and to probes."""

import time
from collections.abc import Callable, Iterator, Mapping

from hotswap_stream import __version__
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metric_spec import Family, MetricSpec, single
from hotswap_stream.observability.process_families import process_families

WELL_SECONDS_MAX = 10.0
"""Agents that could do their work, as they find about once a second, no longer ago than this are ready."""


class AgentsFigures:
    """Handed to the agents' process, which says what there is to count and when all is well."""

    def __init__(self, registry: Registry, instance: str) -> None:
        self._registry = registry
        self._instance = instance
        self._counts: Mapping[MetricSpec, Callable[[], int]] = {}
        self._well_s: float | None = None

    def count(self, counts: Mapping[MetricSpec, Callable[[], int]]) -> None:
        """Take over where the counters of the catalogue are read."""
        self._counts = counts

    def well(self) -> None:
        """Hear that the log is followed, and no agent stands still."""
        self._well_s = time.monotonic()

    def unready(self) -> str | None:
        """Return why the agents make no progress; None while they do."""
        if self._well_s is None:
            return "they are starting"
        ago_s = time.monotonic() - self._well_s
        return None if ago_s <= WELL_SECONDS_MAX else f"they last could do their work {ago_s:.0f} s ago"

    def families(self) -> Iterator[Family]:
        """Yield the agents' part of the catalogue of metrics."""
        yield from process_families(
            release=__version__, process="agents", process_name=self._instance, ready=self.unready() is None
        )
        yield single(catalogue.REGISTRY_NEXT_OFFSET, self._registry.fold.next_offset)
        yield single(catalogue.REGISTRY_FOLLOWER_UP, int(self._registry.healthy))
        for spec, count in self._counts.items():
            yield single(spec, count())
