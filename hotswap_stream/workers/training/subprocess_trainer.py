"""Training in a process of its own: a crash, an out-of-memory kill or a hang there is an answer here."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from hotswap_events.registry.events import Provenance
from hotswap_events.training.events import TrainingFailureCause
from hotswap_stream.application.artifacts.file import ArtifactFormatError, read_manifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.training.runs import (
    OnProgress,
    TrainingAborted,
    TrainingFailure,
    TrainingFinished,
    TrainingLine,
    TrainingOrder,
    TrainingOutcome,
    TrainingProgress,
    TrainingSpec,
    TrainingSucceeded,
)
from hotswap_stream.errors import HotswapError
from hotswap_stream.workers.training.process import LineProtocolError, OrderedProcess, ordered_process
from hotswap_stream.workers.training.work_folder import make_work_folder

log = structlog.get_logger(__name__)

_NAME = "the training process"
_LINES: "msgspec.json.Decoder[TrainingLine]" = msgspec.json.Decoder(TrainingLine)


class SubprocessTrainer:
    """Start `command` once per run and put what it wrote into the store, as a `Trainer`.

    `run_seconds_max` limits a run, `artifact_bytes_max` what it may write; `run_folder` takes its files meanwhile.
    """

    def __init__(
        self,
        command: Sequence[str],
        store: ArtifactStore,
        *,
        run_folder: Path,
        run_seconds_max: float,
        artifact_bytes_max: int,
    ) -> None:
        self._command = tuple(command)
        self._store = store
        self._run_folder = run_folder
        self._run_seconds_max = run_seconds_max
        self._artifact_bytes_max = artifact_bytes_max

    async def run(
        self, spec: TrainingSpec, *, on_progress: OnProgress | None = None, cancel: asyncio.Event | None = None
    ) -> TrainingOutcome:
        """Make one run in a process of its own. See `Trainer`."""
        folder = await asyncio.to_thread(make_work_folder, self._run_folder, "run-", seconds_max=self._run_seconds_max)
        try:
            log.info("training_started", run_id=spec.run_id, model_name=spec.model_name, architecture=spec.architecture)
            outcome = await self._run_in(folder, spec, on_progress or _ignore, cancel or asyncio.Event())
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if isinstance(outcome, TrainingFailure):
            log.warning("training_failed", run_id=spec.run_id, cause=outcome.cause)
        else:
            log.info("training_succeeded", run_id=spec.run_id, digest=outcome.artifact.digest)
        return outcome

    async def _run_in(
        self, folder: Path, spec: TrainingSpec, on_progress: OnProgress, cancel: asyncio.Event
    ) -> TrainingOutcome:
        artifact_file = folder / "artifact.safetensors"
        order = TrainingOrder(spec=spec, artifact_file=str(artifact_file))
        try:
            async with ordered_process(self._command, _LINES, _NAME) as process:
                last = await self._hear(process, order, on_progress, cancel)
        except OSError as error:
            return _failed(spec, "crashed", f"the training process cannot be started: {error}")
        if isinstance(last, TrainingFailure):
            return last
        if isinstance(last, TrainingAborted):
            return _failed(spec, last.cause, last.detail)
        if not isinstance(last, TrainingFinished) or process.exit_code != 0:
            return _failed(spec, "crashed", process.how_it_ended())
        return await self._store_artifact(spec, artifact_file, last)

    async def _hear(
        self,
        process: "OrderedProcess[TrainingLine]",
        order: TrainingOrder,
        on_progress: OnProgress,
        cancel: asyncio.Event,
    ) -> TrainingLine | TrainingFailure | None:
        """Return what the process said last, or why we stopped listening. The caller ends the process."""
        last: list[TrainingLine] = []

        def take(line: TrainingLine) -> None:
            if isinstance(line, TrainingProgress):
                on_progress(line)
            else:
                last[:] = [line]

        heard = asyncio.create_task(process.listen(order, take))
        cancelled = asyncio.create_task(cancel.wait())
        try:
            await asyncio.wait({heard, cancelled}, timeout=self._run_seconds_max, return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                heard.result()
                return last[0] if last else None
            if cancelled.done():
                return _failed(order.spec, "cancelled", "the run was cancelled")
            limit = f"the run took longer than run_seconds_max={self._run_seconds_max:g}"
            return _failed(order.spec, "timed-out", process.with_tail(limit))
        except LineProtocolError as error:
            return _failed(order.spec, "crashed", process.with_tail(str(error)))
        finally:
            for task in (heard, cancelled):
                task.cancel()
            await asyncio.gather(heard, cancelled, return_exceptions=True)

    async def _store_artifact(self, spec: TrainingSpec, path: Path, finished: TrainingFinished) -> TrainingOutcome:
        try:
            content = await asyncio.to_thread(self._read, path)
            manifest = read_manifest(content)
        except (OSError, ArtifactFormatError) as error:
            return _failed(spec, "crashed", f"the training process left no artifact: {error}")
        try:
            artifact = await self._store.put_artifact(content)
        except HotswapError as error:
            return _failed(spec, "artifact-store", str(error))
        return TrainingSucceeded(
            run_id=spec.run_id,
            artifact=artifact,
            manifest=manifest,
            metrics=finished.metrics,
            validation_set=finished.validation_set,
            provenance=Provenance(
                origin="trained",
                created_by=spec.created_by,
                code_revision=finished.code_revision,
                data_snapshot=finished.data_snapshot,
                image=spec.image,
                environment=finished.environment,
            ),
            profile=finished.profile,
        )

    def _read(self, path: Path) -> bytes:
        size = path.stat().st_size
        if size > self._artifact_bytes_max:
            raise OSError(f"it has {size} bytes; artifact_bytes_max allows {self._artifact_bytes_max}")
        return path.read_bytes()


def _ignore(progress: TrainingProgress) -> None:
    del progress


def _failed(spec: TrainingSpec, cause: TrainingFailureCause, detail: str) -> TrainingFailure:
    return TrainingFailure(run_id=spec.run_id, cause=cause, detail=detail)
