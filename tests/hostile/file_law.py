"""The law for files: an artifact that is no model never serves, and the old version answers on; a setting is taken or
refused in words."""

import asyncio
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream.errors import HotswapError
from tests.hostile.file_cells import FileCell, artifact_of, wrong_with_setting
from tests.hostile.good_records import NotHandledError
from tests.hostile.law import Outcome
from tests.hostile.places import MODEL
from tests.hostile.probes import Probes
from tests.hostile.stage import HostileStage


async def try_artifacts(hostile: HostileStage, probes: Probes, cells: Sequence[FileCell]) -> Outcome:
    """Register each as a version and force it into production: the fleet must take it back."""
    began, outcome = time.monotonic(), Outcome(cells=[str(cell) for cell in cells])
    for cell in cells:
        try:
            await _force(hostile, probes, cell)
        except (NotHandledError, HotswapError, AssertionError) as error:
            outcome.broken.append(f"{cell}: {error}")
            outcome.culprits.append(str(cell))
    outcome.broken += hostile.ended()
    outcome.spoiled = bool(outcome.broken)
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


async def _force(hostile: HostileStage, probes: Probes, cell: FileCell) -> None:
    stage, registry = hostile.stage, hostile.stage.registry
    content = artifact_of(cell, hostile.world.next())
    artifact = ArtifactFacts(digest=f"sha256:{sha256(content).hexdigest()}", size_bytes=len(content))
    # Past the store's own checks, as somebody does who may write to it.
    file = stage.settings.home / "artifacts" / "sha256" / artifact.digest[7:9] / f"{artifact.digest[7:]}.safetensors"
    await asyncio.to_thread(_write, file, content)
    provenance = Provenance(origin="imported", created_by="test")
    registered = await registry.handle(RegisterVersion(**_meta(hostile), artifact=artifact, provenance=provenance))
    if registered.status == "refused":
        return
    name = str(registered.model_version)
    switched = await registry.handle(SwitchVersion(**_meta(hostile), model_version=name))
    await probes.run(("requests",))
    if switched.status != "accepted":
        return

    async def taken_back() -> bool:
        await registry.catch_up()
        return registry.state(MODEL).active_version != name

    await probes.until(f"the fleet taking back {name}, which is no model", taken_back)
    await probes.run(("requests", "http"))


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _meta(hostile: HostileStage) -> dict[str, Any]:
    return {"command_id": f"file-{hostile.world.next()}", "actor": "test", "model_name": MODEL}


def try_settings(cells: Sequence[FileCell]) -> Outcome:
    """Read each as an environment variable."""
    began, outcome = time.monotonic(), Outcome(cells=[str(cell) for cell in cells])
    for cell in cells:
        wrong = wrong_with_setting(cell)
        if wrong is not None:
            outcome.broken.append(f"{cell}: {wrong}")
            outcome.culprits.append(str(cell))
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome
