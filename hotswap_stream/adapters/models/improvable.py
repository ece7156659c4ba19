"""A loaded version whose executor may get better while it serves."""

import threading
from collections.abc import Mapping

from hotswap_stream.adapters.models.executor import Executor
from hotswap_stream.adapters.models.executor_choice import Rates
from hotswap_stream.adapters.models.loaded_model import PaddedModel
from hotswap_stream.application.artifacts.manifest import ArtifactManifest


class ImprovableModel(PaddedModel):
    """See PaddedModel. A better executor may be offered to it."""

    def __init__(
        self,
        manifest: ArtifactManifest,
        executor: Executor,
        sizes: tuple[int, ...] = (),
        *,
        rates: Mapping[str, Rates] | None = None,
    ) -> None:
        super().__init__(manifest, executor, sizes)
        self._offered: tuple[Executor, Mapping[str, Rates]] | None = None
        self._guard = threading.Lock()
        self._rates = rates or {}

    @property
    def executor_rates(self) -> Mapping[str, Rates]:
        """Return executor → rows per second, as measured when it was chosen; empty if nothing was measured."""
        return self._rates

    def offer(self, executor: Executor, rates: Mapping[str, Rates]) -> None:
        """Use this executor from the next `infer` on. It must have been checked. Any thread may offer."""
        with self._guard:
            if self._executor is not None:
                self._offered = (executor, rates)

    def _give_up(self) -> list[object]:
        """Forget what computes, and return it."""
        with self._guard:
            dropped: list[object] = [self._executor, self._offered]
            self._executor = self._offered = None
        return dropped

    def _executor_now(self) -> Executor:
        if self._offered is not None:
            self._take_offered()
        return self._open_executor()

    def _take_offered(self) -> None:
        with self._guard:
            if self._offered is not None and self._executor is not None:
                self._executor, self._rates = self._offered
                self._name = self._executor.name
            self._offered = None
