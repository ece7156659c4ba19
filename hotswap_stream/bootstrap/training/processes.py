"""Training and validation, each in processes of their own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.validation_sets import ValidationSetError
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.environment import connection
from hotswap_stream.bootstrap.plugins import use_plugins
from hotswap_stream.bootstrap.registry import open_registry
from hotswap_stream.bootstrap.trials import graph_exporter
from hotswap_stream.settings import Settings, child_environment

if TYPE_CHECKING:
    from hotswap_stream.application.training.children import TrainingChildren
    from hotswap_stream.application.training.measuring import MeasureVersion
    from hotswap_stream.application.training.trainer import ModelTrainer


@asynccontextmanager
async def open_training(settings: Settings, source: str = "trainer") -> AsyncIterator["ModelTrainer"]:
    """Open what runs trainings in processes of their own and validates, with the registry that records both."""
    from hotswap_stream.adapters.evaluation.process import set_evaluator_command
    from hotswap_stream.adapters.torch.training.evaluator_process import evaluator_command
    from hotswap_stream.adapters.torch.training.trainer_process import trainer_command
    from hotswap_stream.application.training.trainer import ModelTrainer
    from hotswap_stream.workers.training.subprocess_evaluator import SubprocessEvaluator
    from hotswap_stream.workers.training.subprocess_trainer import SubprocessTrainer

    modules = use_plugins(settings)
    store = artifact_store(settings)
    trainer = SubprocessTrainer(
        trainer_command(modules),
        store,
        run_folder=settings.home / "runs",
        run_seconds_max=settings.training_seconds_max,
        artifact_bytes_max=settings.artifact_bytes_max,
    )
    evaluator = SubprocessEvaluator(
        evaluator_command(modules),
        store,
        set_command=set_evaluator_command(modules),
        folder=settings.home / "runs",
        seconds_max=settings.evaluation_seconds_max,
        set_bytes_max=settings.artifact_bytes_max,
    )
    async with open_registry(settings, source) as registry:
        yield ModelTrainer(registry, trainer, evaluator, graph_exporter(settings, store))


def measuring(settings: Settings, registry: Registry) -> "MeasureVersion | None":
    """Return what measures versions, each in a process of its own; None where the packages for it are missing."""
    if find_spec("torch") is None:
        return None
    from hotswap_stream.adapters.evaluation.process import set_evaluator_command
    from hotswap_stream.adapters.torch.training.evaluator_process import evaluator_command
    from hotswap_stream.application.training.measuring import measure_and_validate
    from hotswap_stream.workers.training.subprocess_evaluator import SubprocessEvaluator

    modules = use_plugins(settings)
    evaluator = SubprocessEvaluator(
        evaluator_command(modules),
        artifact_store(settings),
        set_command=set_evaluator_command(modules),
        folder=settings.home / "runs",
        seconds_max=settings.evaluation_seconds_max,
        set_bytes_max=settings.artifact_bytes_max,
    )
    return partial(measure_and_validate, registry, evaluator)


def packed_set(settings: Settings, file: Path, *, kind: str | None = None, output: str | None = None) -> bytes:
    """Return a labelled set in a file as the bytes of an artifact; a set that is one already as it is.

    Args:
        settings: Limit its size.
        file: `.npz`, `.safetensors` or Parquet; arrays bear the names of inputs, or `labels`, `target`, `relevance`.
        kind: What is measured on it; None: what the arrays' names say.
        output: Which output of the model is measured; None: the only one that fits.

    Raises:
        ValidationSetError: It is none; the message says what is wrong.
        OSError: It cannot be read.
    """
    try:
        from hotswap_stream.adapters.evaluation.set_artifacts import pack_set, unpack_set
        from hotswap_stream.adapters.evaluation.set_files import is_set_artifact, read_set_file
    except ModuleNotFoundError as error:
        raise ValidationSetError(
            f"reading a validation set needs {error.name}, which is not installed here: "
            "pip install 'hotswap-stream[worker]'"
        ) from error
    bytes_max = settings.artifact_bytes_max
    if is_set_artifact(file, bytes_max=bytes_max) and kind is None and output is None:
        content = file.read_bytes()
        unpack_set(content)
        return content
    return pack_set(read_set_file(file, bytes_max=bytes_max, kind=kind, output=output))


@asynccontextmanager
async def training_children(settings: Settings, registry: Registry) -> AsyncIterator["TrainingChildren | None"]:
    """Open what runs trainings on request; None where the packages for training are not installed."""
    if find_spec("torch") is None:
        yield None
        return
    from hotswap_stream.application.training.children import TrainingChildren

    found = msgspec.structs.replace(settings, kafka_bootstrap_servers=connection(settings).bootstrap_servers)
    children = TrainingChildren(
        (sys.executable, "-m", "hotswap_stream.cli", "run-training"), child_environment(found), registry
    )
    try:
        yield children
    finally:
        await children.stop()
