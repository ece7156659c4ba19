"""Better executors for versions that serve already: made and checked in one background thread, then offered."""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct

from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.improvable import ImprovableModel

WAITING_MAX = 32
CLOSE_SECONDS_MAX = 1.0
"""What runs mostly waits for a process that ends with this one: a compiler, a trial."""

log = structlog.get_logger(__name__)

Make = Callable[[], object]
Model = TypeVar("Model", bound=ImprovableModel)


class _Job(Struct, frozen=True):
    model: "weakref.ref[Any]"
    make: Make
    improve: Callable[[Any], None]


class Improver(Generic[Model]):
    """One job after the other; the thread lives as long as there are jobs. A version that is gone is passed over."""

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, model: Model, *, make: Make, improve: Callable[[Model], None]) -> None:
        """Call `make`, then `improve` with the model. The job is dropped with a log line if too many wait."""
        with self._guard:
            if self._closed:
                return
            if len(self._jobs) >= WAITING_MAX:
                log.info("improvement_dropped", waiting_max=WAITING_MAX)
                return
            self._jobs.append(_Job(weakref.ref(model), make, improve))
            if self._thread is None:
                # A daemon: it mostly waits for a process that ends with this one.
                self._thread = threading.Thread(target=self._work, name="executor-improver", daemon=True)
                self._thread.start()

    def wait_idle(self, seconds_max: float) -> bool:
        """Return whether all jobs were done within this time."""
        with self._guard:
            thread = self._thread
        if thread is not None:
            thread.join(seconds_max)
            return not thread.is_alive()
        return True

    def close(self) -> None:
        """Forget what waits, and wait a moment for what runs."""
        with self._guard:
            self._closed = True
            self._jobs.clear()
        self.wait_idle(CLOSE_SECONDS_MAX)

    def _work(self) -> None:
        while True:
            with self._guard:
                if not self._jobs:
                    self._thread = None
                    return
                job = self._jobs.popleft()
            try:
                job.make()
                model = job.model()
                if model is not None and not self._closed:
                    job.improve(model)
                del model
            except ExecutorUnavailableError as error:
                log.info("executor_unavailable", reason=str(error))
            except Exception as error:  # noqa: BLE001  # the version serves on as it is
                log.warning("improvement_failed", error=f"{type(error).__name__}: {error}"[:500])
