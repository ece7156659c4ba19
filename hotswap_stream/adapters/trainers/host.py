"""The process of one run of a Python trainer: the order in, the trainer called, what it returns made a file."""

import json
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.plugins.finding import find_plugin
from hotswap_stream.application.plugins.names import MissingPluginError, PluginKey
from hotswap_stream.application.trainers.built_in import BUILT_IN_PARAMETERS, wrong_parameters
from hotswap_stream.application.trainers.job import Trained, TrainingDataError, TrainingJob
from hotswap_stream.application.trainers.protocol import (
    TrainerFailed,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
    TrainerProgress,
    TrainerReady,
)
from hotswap_stream.errors import HotswapError

PROGRESS_SECONDS_MIN = 0.1
"""Progress that comes sooner after the last is left out, unless it ends an epoch."""
DETAIL_CHARACTERS_MAX = 8_000
ARTIFACT = "artifact.safetensors"

Write = Callable[[TrainerLine], None]
Convert = Callable[[Any, Any, tuple[str, ...], Path], tuple[str, ModelOptions, dict[str, str]]]
"""Model, example, labels and folder → name of the file in the folder, what the graph cannot say, what converted it."""
Train = Callable[[TrainingJob, Any], Trained]

_MODULES: Mapping[str, str] = {
    "image-classifier": "hotswap_stream.adapters.trainers.images",
    "forecaster": "hotswap_stream.adapters.trainers.forecasting",
    "als": "hotswap_stream.adapters.trainers.als",
    "sklearn": "hotswap_stream.adapters.trainers.estimators",
}


class _Thinned:
    """Leaves out progress that comes too fast, but never the last of an epoch."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._written_s = 0.0
        self._held: TrainerProgress | None = None

    def __call__(self, progress: TrainerProgress) -> None:
        held = self._held
        if held is not None and held.epoch != progress.epoch:
            self._write(held)
        self._held = progress
        if monotonic() - self._written_s >= PROGRESS_SECONDS_MIN:
            self.flush()

    def flush(self) -> None:
        """Write what was held back."""
        if self._held is not None:
            self._write(self._held)
            self._held, self._written_s = None, monotonic()


def run_trainer(order: TrainerOrder, write: Write, convert: Convert) -> bool:
    """Do one run; return whether it ended well. Every end is a line."""
    try:
        train, wanted = _found(order.trainer)
        if wrong := wrong_parameters(order.trainer, order.parameters, wanted):
            write(TrainerFailed(cause="not-possible", detail=wrong))
            return False
        parameters = msgspec.convert(order.parameters, wanted)
        write(TrainerReady())
        folder, thinned = Path(order.folder), _Thinned(write)
        job = TrainingJob(
            run_id=order.run_id,
            model_name=order.model_name,
            datasets=tuple(Path(each.path) for each in order.datasets),
            digests=tuple(each.digest for each in order.datasets),
            folder=folder,
            threads=order.threads,
            on_progress=thinned,
        )
        trained = train(job, parameters)
        thinned.flush()
        if not isinstance(trained, Trained):
            raise TypeError(f"trainer {order.trainer!r} returned a {type(trained).__name__}; a Trained is needed")
        write(_finished(trained, folder, convert))
    except TrainingDataError as error:
        return _failed(write, "bad-data", error)
    except MissingPluginError as error:
        return _failed(write, "not-possible", error)
    except HotswapError as error:
        traceback.print_exc()
        return _failed(write, "crashed", error)
    except Exception as error:  # noqa: BLE001 - it is the user's code
        traceback.print_exc()
        return _failed(write, "crashed", f"{type(error).__name__}: {error}")
    return True


def described() -> dict[str, dict[str, Any]]:
    """Return trainer → the JSON Schema of its parameters, of those that come along."""
    return {name: msgspec.json.schema(wanted) for name, wanted in BUILT_IN_PARAMETERS.items()}


def _found(name: str) -> tuple[Train, type[Struct]]:
    if name in _MODULES:
        train: Train = import_module(_MODULES[name]).train
        return train, BUILT_IN_PARAMETERS[name]
    plugin = find_plugin(PluginKey("trainer", name))
    if plugin.parameters is None:
        raise HotswapError(f"trainer {name!r} was registered without parameters")
    return plugin.build, plugin.parameters


def _finished(trained: Trained, folder: Path, convert: Convert) -> TrainerFinished:
    options, environment = ModelOptions(), dict(trained.environment)
    if isinstance(trained.model, bytes):
        name = ARTIFACT
        (folder / name).write_bytes(trained.model)
    elif isinstance(trained.model, Path) and trained.model.resolve().parent == folder.resolve():
        name, options = trained.model.name, ModelOptions(labels=trained.labels)
    else:
        name, options, made_with = convert(trained.model, trained.example, trained.labels, folder)
        environment |= made_with
    (folder / "metrics.json").write_text(json.dumps(trained.metrics, indent=1, sort_keys=True) + "\n")
    return TrainerFinished(
        artifact=name,
        options=options,
        metrics=trained.metrics,
        data_snapshot=trained.data_snapshot,
        environment=environment,
        profile=trained.profile,
    )


def _failed(write: Write, cause: Any, error: object) -> bool:
    write(TrainerFailed(cause=cause, detail=str(error)[:DETAIL_CHARACTERS_MAX]))
    return False
