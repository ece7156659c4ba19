"""What a runner needs of the world beside the registry: artifacts in, artifacts out, and somebody to hear of it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from hotswap_events.training.progress import RunFiles, TrainingProgressed
from hotswap_stream.application.artifacts.facts import Registrable
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.trainers.progress import ProgressFold

Heard = Callable[[TrainingProgressed], None]


class RunArtifacts(Protocol):
    """The artifact store, as a run sees it."""

    async def fetch_dataset(self, digest: str, file: Path) -> None:
        """Write a stored artifact, whose bytes were checked, into a file. HotswapError; OSError."""
        ...

    async def store_model(self, file: Path, options: ModelOptions) -> Registrable:
        """Try a model, and put it into the store.

        Raises:
            ArtifactFormatError: It is none.
            TrialFailedError: It cannot be served.
            HotswapError: The store does not take it.
        """
        ...

    async def keep_files(
        self, folder: Path, log: str, *, run_id: str, model_name: str, without: Iterable[str]
    ) -> tuple[RunFiles | None, tuple[str, ...]]:
        """Keep what a run left beside its artifact; return what was kept, and names of what was not.

        HotswapError; OSError.
        """
        ...

    async def drop_files(self, progress: TrainingProgressed) -> None:
        """Delete the files of a run. HotswapError."""
        ...


class ProgressView(Protocol):
    """What is heard of all runs, in a process that only listens."""

    @property
    def fold(self) -> ProgressFold:
        """The latest progress of each run."""
        ...

    @property
    def known(self) -> bool:
        """Whether the topic was read to its end, and is followed."""
        ...

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Call with each record that is read from here on; the returned function ends that."""
        ...


class ProgressTopic(Protocol):
    """Where progress is told and heard."""

    @property
    def fold(self) -> ProgressFold:
        """What was heard, of all runners."""
        ...

    @property
    def known(self) -> bool:
        """Whether what others say is heard as they say it; without it nothing follows from silence."""
        ...

    async def tell(self, progress: TrainingProgressed) -> None:
        """Say where a run is. What cannot be said now is not said later: the next one says more."""
        ...
