"""The forward passes of one loop: at once where they are short, else in a second thread, one batch at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.batches.forward import run_forward
from hotswap_stream.workers.inference.batches.referee import Referee

INLINE_MS_MAX = 2.0
"""A forward pass shorter than this is not worth a second thread."""
_SMOOTHING = 0.02


class Computing:
    """Compute the batches of one loop.

    `referee` judges what fails; `release` is called with each batch that is abandoned, when its pass is over.
    """

    def __init__(self, model_name: str, referee: Referee, release: Callable[[Batch], None]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"infer-{model_name}")
        self._referee = referee
        self._release = release
        self._ms = 0.0
        self._running: tuple[Batch, Future[ComputedBatch]] | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is in the second thread."""
        return self._running is not None

    @property
    def quick(self) -> bool:
        """Whether passes are short."""
        return self._ms < INLINE_MS_MAX

    def now(self, batch: Batch) -> ComputedBatch:
        """Compute the batch in this thread."""
        return run_forward(batch, self._referee)

    def start(self, batch: Batch) -> None:
        """Compute the batch in the second thread, which must be free."""
        self._running = batch, self._thread.submit(run_forward, batch, self._referee)

    def wait(self, seconds_max: float) -> ComputedBatch | None:
        """Return the batch of the second thread once it was computed; None before, or if there is none."""
        if self._running is None:
            return None
        _batch, future = self._running
        try:
            computed = future.result(seconds_max)
        except FutureTimeoutError:
            return None
        self._running = None
        return computed

    def took(self, compute_ms: float) -> None:
        """Take in how long the passes of a batch took."""
        # Down at once, up slowly: what others do on this machine makes passes longer, never shorter.
        slower = self._ms + _SMOOTHING * (compute_ms - self._ms)
        self._ms = min(compute_ms, slower if self._ms else compute_ms)

    def abandon(self, *, wait: bool) -> None:
        """Give up what is being computed: nobody is to answer it. Without `wait`, return before the pass is over."""
        if self._running is None:
            return
        batch, future = self._running
        self._running = None
        if wait:
            future.exception()
        future.add_done_callback(lambda _future: self._release(batch))

    def close(self) -> None:
        """Compute nothing more."""
        self._thread.shutdown(wait=False)
