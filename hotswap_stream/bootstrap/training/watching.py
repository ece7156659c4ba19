"""The watch of a folder whose files start training runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hotswap_events.training.policy import DataTrigger, TrainingPolicy
from hotswap_events.training.triggers import SetTrainingPolicy
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.validation_sets import ValidationSetError
from hotswap_stream.application.triggers.files import FileTrigger
from hotswap_stream.bootstrap.artifacts import artifact_store
from hotswap_stream.bootstrap.registry import open_registry
from hotswap_stream.bootstrap.training.processes import packed_set
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

if TYPE_CHECKING:
    from hotswap_stream.adapters.folder.watch import FolderWatch, Verdict


@asynccontextmanager
async def folder_watch(
    settings: Settings, folder: Path, model_name: str, *, trainer: str | None, actor: str
) -> AsyncIterator["FolderWatch"]:
    """Open the watch of a folder; it does something once it runs.

    Args:
        settings: The environment.
        folder: Which; it must be there.
        model_name: Whose runs its files start.
        trainer: Gives a model without a training policy one that trains with this, and tries what passes as a shadow.
        actor: Who wants that.

    Raises:
        ConfigurationError: There is no such folder, or the model has no policy by which files start runs.
    """
    from hotswap_stream.adapters.folder.watch import FolderWatch, Verdict

    if not await asyncio.to_thread(folder.is_dir):
        raise ConfigurationError(f"{folder} is no folder that could be watched")
    store = artifact_store(settings)
    async with open_registry(settings, "watch") as registry:
        await _let_files_start_runs(registry, model_name, trainer, actor)
        trigger = FileTrigger(registry, SystemClock(), model_name)

        async def take(copy: Path, name: str) -> "Verdict":
            try:
                content = await asyncio.to_thread(packed_set, settings, copy)
                stored = await store.put_artifact(content)
            except (ValidationSetError, ArtifactFormatError) as error:
                why = str(error).replace(str(copy), name)
                await trigger.say_bad(name, why)
                return Verdict("bad", why)
            fired = await trigger.fire(stored.digest, name)
            return Verdict("wait" if fired.what == "waits" else "taken", fired.why, stored.digest)

        yield FolderWatch(
            folder,
            take,
            may_take=lambda: trigger.keeps(folder.name),
            bytes_max=settings.artifact_bytes_max,
            now=time.monotonic,
        )


async def _let_files_start_runs(registry: Registry, model_name: str, trainer: str | None, actor: str) -> None:
    state = registry.state(model_name)
    policy = state.triggers.policy
    if policy is not None and policy.data is not None and policy.data.files:
        return
    if trainer is None:
        raise ConfigurationError(
            f"the training policy of {model_name!r} does not say that files start runs: `hotswap-stream triggers set "
            f"{model_name} --trainer NAME --files`, or give --trainer here"
        )
    data = DataTrigger(files=True) if policy is None or policy.data is None else replace(policy.data, files=True)
    if policy is None:
        policy = TrainingPolicy(trainer=trainer, cooldown_seconds=0.0, after="shadow")
    result = await registry.handle(
        SetTrainingPolicy(
            command_id=f"watch-{time.time_ns()}",
            actor=actor,
            model_name=model_name,
            reason="a folder is watched",
            policy=replace(policy, data=data),
        )
    )
    if result.refusal is not None:
        raise ConfigurationError(result.refusal.reason)
