"""Training and validation, each in processes of their own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.environment import connection
from hotswap_stream.bootstrap.plugins import use_plugins
from hotswap_stream.bootstrap.registry import open_registry
from hotswap_stream.settings import Settings, child_environment

if TYPE_CHECKING:
    from hotswap_stream.application.training.children import TrainingChildren
    from hotswap_stream.application.training.trainer import ModelTrainer


@asynccontextmanager
async def open_training(settings: Settings, source: str = "trainer") -> AsyncIterator["ModelTrainer"]:
    """Open what runs trainings in processes of their own and validates, with the registry that records both."""
    from hotswap_stream.adapters.torch.modules.threads import limit_threads
    from hotswap_stream.adapters.torch.training.evaluator_process import evaluator_command
    from hotswap_stream.adapters.torch.training.trainer_process import trainer_command
    from hotswap_stream.application.training.trainer import ModelTrainer
    from hotswap_stream.workers.training.subprocess_evaluator import SubprocessEvaluator
    from hotswap_stream.workers.training.subprocess_trainer import SubprocessTrainer

    limit_threads(settings.torch_threads)
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
        evaluator_command(modules), store, folder=settings.home / "runs", seconds_max=settings.evaluation_seconds_max
    )
    async with open_registry(settings, source) as registry:
        yield ModelTrainer(registry, trainer, evaluator)


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
