"""What a worker shows of itself to Prometheus: sums made of what it tells the observations topic, once a second."""

import time
from collections.abc import Collection, Iterator

from hotswap_events.inference.observation import Observation
from hotswap_stream import __version__
from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.families import answer_families
from hotswap_stream.application.monitoring.figures import figures_of
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.observability import metrics as catalogue
from hotswap_stream.observability.metric_spec import Family, single
from hotswap_stream.observability.process_families import process_families
from hotswap_stream.workers.inference.served_model import ServedModel


class WorkerFigures:
    """Count what the observers hand out; nothing is counted in the loops for this."""

    def __init__(self, worker: str, registry: Registry) -> None:
        self._worker = worker
        self._registry = registry
        self._answered = Answered()

    def observed(self, observation: Observation) -> None:
        """Take in an observation, once."""
        self._answered.add(figures_of(observation), time.monotonic())

    def families(self, served: Collection[ServedModel], *, ready: bool) -> Iterator[Family]:
        """Yield this worker's part of the catalogue: what was answered here, what waits, how long swaps took.

        Args:
            served: The models that it serves.
            ready: Whether it does its work.
        """
        yield from process_families(release=__version__, process="worker", process_name=self._worker, ready=ready)
        yield single(catalogue.REGISTRY_NEXT_OFFSET, self._registry.fold.next_offset)
        yield single(catalogue.REGISTRY_FOLLOWER_UP, int(self._registry.healthy))
        yield from answer_families(self._answered)
        lag, swap, event = catalogue.REQUEST_LAG, catalogue.SWAP_DURATION, catalogue.EVENT_TO_SERVE
        yield Family(lag, [(lag.labelled(each.model_name), each.signs.waiting) for each in served])
        yield Family(swap, [(swap.labelled(each.model_name), each.swaps.swap) for each in served])
        yield Family(event, [(event.labelled(each.model_name), each.swaps.event_to_serve) for each in served])
