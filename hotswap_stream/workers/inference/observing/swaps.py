"""How long it takes from an event that chooses another version to the first batch that this version may answer."""

import time

from hotswap_stream.application.monitoring.answered import Histogram
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.observability.metric_spec import Distribution
from hotswap_stream.observability.metrics import SWAP_BOUNDS
from hotswap_stream.observability.tracing import active
from hotswap_stream.workers.inference.observing.traced import trace_swap

DECIDED_KEPT_MAX = 64
"""Events of a model whose times are remembered until a version is chosen by one of them."""


class SwapTimes:
    """Times of one model's swaps.

    Call all in the event loop: `decided` before the event takes effect, `look` after what may swap.
    """

    def __init__(self, model_name: str = "") -> None:
        self._model_name = model_name
        self._swap, self._event = Histogram(len(SWAP_BOUNDS) + 1), Histogram(len(SWAP_BOUNDS) + 1)
        self._decided: dict[int, tuple[float, float, str | None]] = {}
        """Offset of an event → when it was appended (seconds since 1970), when it was read (monotonic), and its trace
        context."""
        self._serving: Lease | None = None

    def decided(self, offset: int, appended_s: float, traceparent: str | None = None) -> None:
        """Take in that an event at this offset of the log was just read."""
        self._decided[offset] = appended_s, time.monotonic(), traceparent
        while len(self._decided) > DECIDED_KEPT_MAX:
            del self._decided[next(iter(self._decided))]

    def look(self, serving: Lease | None) -> None:
        """Take in which version answers now."""
        before, self._serving = self._serving, serving
        if serving is None or serving is before:
            return
        times = self._decided.pop(serving.registry_offset, None)
        if times is None or (before is not None and before.model is serving.model):
            return
        appended_s, read_s, traceparent = times
        if (tracing := active()) is not None:
            trace_swap(
                tracing, self._model_name, serving.model_version, serving.registry_offset, traceparent, appended_s
            )
        _count(self._swap, time.monotonic() - read_s)
        _count(self._event, max(0.0, time.time() - appended_s))

    @property
    def swap(self) -> Distribution:
        """Seconds from reading the event."""
        return self._swap.distribution()

    @property
    def event_to_serve(self) -> Distribution:
        """Seconds from the append of the event."""
        return self._event.distribution()


def _count(into: Histogram, seconds: float) -> None:
    place = next((place for place, bound in enumerate(SWAP_BOUNDS) if seconds <= bound), len(SWAP_BOUNDS))
    into.counts[place] += 1
    into.total += seconds
