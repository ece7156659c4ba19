"""The runner of this machine: which trainers it has, and what it does runs with."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from hotswap_stream.application.artifacts.facts import Registrable
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.plugins.names import BUILT_IN_TRAINERS
from hotswap_stream.application.trainers.built_in import BUILT_IN_PARAMETERS, shown_parameters
from hotswap_stream.application.trainers.commands import parse_trainer_commands
from hotswap_stream.application.trainers.run_files import drop_files, kept_files
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.environment import connection, topics
from hotswap_stream.bootstrap.plugins import probed_plugins
from hotswap_stream.bootstrap.training.outside import outside_places, outside_trainers, taken_names
from hotswap_stream.bootstrap.training.processes import open_training
from hotswap_stream.bootstrap.trials import imported_model, stored_model
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings, child_environment

if TYPE_CHECKING:
    from hotswap_events.training.progress import RunFiles, TrainingProgressed
    from hotswap_stream.adapters.trainers.host import Convert, Write
    from hotswap_stream.application.trainers.place import TrainerPlace
    from hotswap_stream.application.trainers.progress import ProgressFold
    from hotswap_stream.application.trainers.protocol import TrainerOrder
    from hotswap_stream.workers.training.one_run import RunLimits
    from hotswap_stream.workers.training.runner import TrainingRunner

SILENT_SECONDS_MIN = 6.0
"""Three signs of life."""
NICENESS_MAX = 19
_NEEDS = {**dict.fromkeys(BUILT_IN_TRAINERS, ("torch", "safetensors")), "sklearn": ("sklearn", "skl2onnx")}
_FOR_TRAINERS = ("HOTSWAP_PLUGIN_MODULES", "HOTSWAP_LOG_LEVEL", "HOTSWAP_LOG_FORMAT")


async def trainers_here(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return trainer → the command that runs it, of those that this machine has and its settings take.

    Raises:
        ConfigurationError: A setting does not fit.
        PluginConflictError: Two plug-ins have one name.
    """
    return (await trainers_with_parameters(settings))[0]


async def trainers_with_parameters(
    settings: Settings,
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return what `trainers_here` does, and trainer → its parameters with their defaults, where they are known.

    Raises:
        ConfigurationError: A setting does not fit.
        PluginConflictError: Two plug-ins have one name.
    """
    host: tuple[str, ...] = (sys.executable, "-m", "hotswap_stream.cli", "run-trainer")
    found = {name: host for name, needed in _NEEDS.items() if all(find_spec(module) for module in needed)}
    allowed = parse_trainer_commands(settings.trainer_commands)
    installed, parameters = await probed_plugins(settings)
    plugins = [each.name for each in installed if each.kind == "trainer" and each.error is None]
    for name in plugins:
        if name in allowed:
            raise ConfigurationError(f"HOTSWAP_TRAINER_COMMANDS: the name {name!r} is that of an installed plug-in")
    found = {**found, **dict.fromkeys(plugins, host), **allowed}
    known = {**{name: shown_parameters(wanted) for name, wanted in BUILT_IN_PARAMETERS.items()}, **parameters}
    return {name: found[name] for name in taken_names(settings, found)}, known


class _StoreOfRuns:
    """See RunArtifacts."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, artifact_store(settings)

    async def fetch_dataset(self, digest: str, file: Path) -> None:
        """See RunArtifacts."""
        loaded = await self._store.fetch(digest)

        def written() -> None:
            file.write_bytes(loaded.content)
            file.chmod(0o400)

        await asyncio.to_thread(written)

    async def store_model(self, file: Path, options: ModelOptions) -> Registrable:
        """See RunArtifacts."""
        content, passed = await imported_model(self._settings, file, {}, options)
        return await stored_model(self._settings, self._store, content, passed)

    async def keep_files(
        self, folder: Path, log: str, *, run_id: str, model_name: str, without: Iterable[str]
    ) -> "tuple[RunFiles | None, tuple[str, ...]]":
        """See RunArtifacts."""
        return await kept_files(self._store, folder, log, run_id=run_id, model_name=model_name, without=without)

    async def drop_files(self, progress: "TrainingProgressed") -> None:
        """See RunArtifacts."""
        await drop_files(self._store, progress)


@asynccontextmanager
async def open_runner(settings: Settings, name: str) -> AsyncIterator["TrainingRunner"]:
    """Open the runner of this machine; it does something once it runs.

    Args:
        settings: The environment.
        name: Of the runner; each life of the process has one that begins so.

    Raises:
        ConfigurationError: A setting does not fit, or there is no trainer here.
    """
    from hotswap_stream.adapters.clock import SystemClock
    from hotswap_stream.adapters.kafka.training_progress import ProgressOnKafka
    from hotswap_stream.workers.training.runner import RunnerConfig, TrainingRunner

    outside = outside_trainers(settings)
    places = {each: place for each, place in (await local_places(settings)).items() if each not in outside}
    if not places and not outside:
        raise ConfigurationError(
            "there is no trainer here: install 'hotswap-stream[worker]' or a plug-in, or set HOTSWAP_TRAINER_COMMANDS, "
            "HOTSWAP_TRAINER_WEBHOOKS or HOTSWAP_TRAINER_JOBS"
        )
    options = connection(settings).client_options()
    async with (
        outside_places(settings) as elsewhere,
        open_training(settings, "trainers") as trainer,
        ProgressOnKafka(options, topics(settings).training_progress) as progress,
    ):
        config = RunnerConfig(
            runner=f"{name}/{uuid4().hex[:8]}",
            places={**places, **elsewhere},
            runs_max=settings.trainer_runs_max,
            silent_seconds=settings.trainer_silent_seconds,
            folder=settings.home / "runs",
            files_runs_max=settings.trainer_files_runs_max,
            limits=run_limits(settings),
        )
        yield TrainingRunner(
            config, trainer=trainer, artifacts=_StoreOfRuns(settings), progress=progress, clock=SystemClock()
        )


async def local_places(settings: Settings) -> "dict[str, TrainerPlace]":
    """Return trainer → where its runs are done, of those that this machine does itself. ConfigurationError."""
    from hotswap_stream.workers.training.kept_process import ProcessLimits
    from hotswap_stream.workers.training.local_place import LocalPlace

    _check(settings)
    limits = ProcessLimits(
        memory_bytes_max=settings.trainer_memory_bytes_max,
        folder_bytes_max=settings.trainer_folder_bytes_max,
        processes_max=settings.trainer_processes_max,
        niceness=settings.trainer_niceness,
    )
    environment, commands = _trainer_environment(settings), await trainers_here(settings)
    return {name: LocalPlace(command, limits, environment) for name, command in commands.items()}


def run_limits(settings: Settings) -> "RunLimits":
    """Return what each run on this machine may take."""
    from hotswap_stream.workers.training.one_run import RunLimits

    return RunLimits(
        seconds_max=settings.training_seconds_max,
        threads=settings.trainer_threads,
        artifact_bytes_max=settings.artifact_bytes_max,
        memory_bytes_max=settings.trainer_memory_bytes_max,
        folder_bytes_max=settings.trainer_folder_bytes_max,
    )


def _trainer_environment(settings: Settings) -> dict[str, str]:
    """Return what a trainer's process gets: none of our settings that may hold a secret, for it needs no cluster."""
    return {
        name: value
        for name, value in child_environment(settings).items()
        if not name.startswith("HOTSWAP_") or name in _FOR_TRAINERS
    }


def _check(settings: Settings) -> None:
    if settings.trainer_files_runs_max < 0:
        raise ConfigurationError("HOTSWAP_TRAINER_FILES_RUNS_MAX must be 0 or more")
    for field in ("runs_max", "threads", "memory_bytes_max", "folder_bytes_max", "processes_max"):
        if getattr(settings, f"trainer_{field}") < 1:
            raise ConfigurationError(f"HOTSWAP_TRAINER_{field.upper()} must be at least 1")
    if not 0 <= settings.trainer_niceness <= NICENESS_MAX:
        raise ConfigurationError(f"HOTSWAP_TRAINER_NICENESS is {settings.trainer_niceness}; 0 to 19 is allowed")
    if settings.trainer_silent_seconds < SILENT_SECONDS_MIN:
        raise ConfigurationError(
            f"HOTSWAP_TRAINER_SILENT_SECONDS is {settings.trainer_silent_seconds}; at least {SILENT_SECONDS_MIN:g} is "
            "needed, since runners say something every two seconds"
        )


async def training_progress(settings: Settings) -> "ProgressFold":
    """Return the progress of all runs, read once."""
    from hotswap_stream.adapters.kafka.training_progress import read_progress

    return await read_progress(connection(settings).client_options(), topics(settings).training_progress)


def run_trainer(settings: Settings, order: "TrainerOrder", write: "Write", convert: "Convert") -> bool:
    """Do one run of a trainer in Python, in the process it was given; return whether it ended well."""
    from hotswap_stream.adapters.trainers.host import run_trainer as run
    from hotswap_stream.bootstrap.plugins import use_plugins

    use_plugins(settings)
    return run(order, write, convert)
