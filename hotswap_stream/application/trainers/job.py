"""What a trainer that is a Python function gets, and what it returns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from hotswap_stream.application.trainers.protocol import TrainerProgress
from hotswap_stream.application.training.runs import DataProfile
from hotswap_stream.errors import HotswapError


class TrainingDataError(HotswapError):
    """The data are not what this trainer needs; the message says what they lack."""


class Trained(Struct, frozen=True, kw_only=True):
    """A model that was trained."""

    model: Any
    """Bytes of an artifact, a path, or what `publish` takes: an estimator, a booster, a torch module, an ONNX graph."""
    example: Any = None
    """Some rows of the data, where `model` must be converted: the graph is compared with it on them."""
    labels: tuple[str, ...] = ()
    """Names of the classes, where it classifies and does not know them itself."""
    metrics: dict[str, float] = {}
    data_snapshot: str | None = None
    profile: DataProfile | None = None
    environment: dict[str, str] = {}


class TrainingJob:
    """One run, as the trainer sees it."""

    def __init__(
        self,
        *,
        run_id: str,
        model_name: str,
        datasets: tuple[Path, ...],
        digests: tuple[str, ...],
        folder: Path,
        threads: int,
        on_progress: Callable[[TrainerProgress], None],
    ) -> None:
        self.run_id = run_id
        self.model_name = model_name
        self.datasets = datasets
        """Files, in the order in which they were named."""
        self.digests = digests
        """Digests of the datasets."""
        self.folder = folder
        """To write into."""
        self.threads = threads
        """How many it may use."""
        self._on_progress = on_progress

    def progress(
        self,
        step: int | None = None,
        steps: int | None = None,
        *,
        epoch: int | None = None,
        epochs: int | None = None,
        **figures: float,
    ) -> None:
        """Say how far it is; as often as it likes, since what comes too fast is left out."""
        self._on_progress(
            TrainerProgress(
                step=step, steps=steps, epoch=epoch, epochs=epochs, figures={k: float(v) for k, v in figures.items()}
            )
        )
