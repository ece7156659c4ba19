"""Loaded versions of torch modules: what executes them may get better while they serve."""

from collections.abc import Mapping

from hotswap_stream.adapters.models.executor import Executor
from hotswap_stream.adapters.models.executor_choice import Rates
from hotswap_stream.adapters.models.improvable import ImprovableModel
from hotswap_stream.adapters.torch.executors.executors import EagerExecutor
from hotswap_stream.adapters.torch.modules.resources import give_back
from hotswap_stream.application.artifacts.manifest import ArtifactManifest


class TorchLoadedModel(ImprovableModel):
    """See ImprovableModel."""

    def __init__(
        self,
        manifest: ArtifactManifest,
        executor: Executor,
        sizes: tuple[int, ...] = (),
        *,
        rates: Mapping[str, Rates] | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(manifest, executor, sizes, rates=rates)
        self._device = device

    def eager(self) -> EagerExecutor | None:
        """Return what serves as plain torch with weights of its own, so that it may run beside `infer`.

        None when what serves no longer has a module, or when closed.
        """
        executor = self._executor
        return executor.as_eager() if isinstance(executor, EagerExecutor) else None

    def close(self) -> None:
        """Drop the weights. A thread gives the memory back to the system, so that this call takes no time."""
        give_back(self._give_up().clear, self._device)
