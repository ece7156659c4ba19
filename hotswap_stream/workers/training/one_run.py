"""One claimed run, from its order to a registered version with a verdict, or to the event that says why not."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct

from hotswap_events.commands import CommandResult, FailTraining, ProfileVersion, RegisterVersion, StartTraining
from hotswap_events.registry.events import Provenance
from hotswap_events.training.events import TrainingFailureCause, TrainingRequested
from hotswap_stream.application.artifacts.facts import Registrable
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.store import ArtifactTooLargeError
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.application.own_commands import own_id
from hotswap_stream.application.trainers.place import (
    BadOutputError,
    RunFailedError,
    RunningTrainer,
    TrainerEnd,
    TrainerPlace,
)
from hotswap_stream.application.trainers.port import RunArtifacts
from hotswap_stream.application.trainers.protocol import (
    ARTIFACT_NAMES,
    DatasetFile,
    TrainerFailed,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
    TrainerProgress,
)
from hotswap_stream.application.training.trainer import ModelTrainer
from hotswap_stream.domain.deciding.limits import DETAIL_CHARACTERS_MAX, LABEL_VALUE_CHARACTERS_MAX, LABELS_MAX
from hotswap_stream.errors import HotswapError
from hotswap_stream.workers.training.run_artifact import artifact_in
from hotswap_stream.workers.training.run_report import RunReport
from hotswap_stream.workers.training.work_folder import make_work_folder

LOG_TOLD_CHARACTERS = 2_000
_log = structlog.get_logger(__name__)


class RunLimits(Struct, frozen=True, kw_only=True):
    """What each run on this machine may take."""

    seconds_max: float
    threads: int
    artifact_bytes_max: int
    memory_bytes_max: int
    folder_bytes_max: int


class ClaimedRun:
    """A run that this runner has."""

    def __init__(
        self,
        model_name: str,
        request: TrainingRequested,
        *,
        place: TrainerPlace,
        actor: str,
        folder: Path,
        limits: RunLimits,
        keeps_files: bool,
        artifacts: RunArtifacts,
        trainer: ModelTrainer,
        report: RunReport,
    ) -> None:
        self.model_name = model_name
        self.request = request
        self.report = report
        self._place = place
        self._actor = actor
        self._parent = folder
        self._limits = limits
        self._keeps_files = keeps_files
        self._artifact_name: str | None = None
        self._artifacts = artifacts
        self._trainer = trainer
        self._registry = trainer.registry
        self._cancelled = asyncio.Event()
        self._began = asyncio.Event()
        self._started = False
        self._last: TrainerFinished | TrainerFailed | None = None

    def cancel(self) -> None:
        """End it: the log says that it is over."""
        self._cancelled.set()

    async def run(self) -> None:
        """Do it. Whatever happens, nothing that it started is left, and the log says how it ended."""
        run_id, folder = self.request.run_id, None
        try:
            folder = await asyncio.to_thread(
                make_work_folder, self._parent, "run-", seconds_max=self._limits.seconds_max
            )
            await self._run_in(folder)
        except RunFailedError as error:
            await self._fail(error.cause, str(error))
        except asyncio.CancelledError:
            # Its runner was told to stop; another one may do the run, if its request lets it be asked for again.
            await self._fail("silent", "its runner was stopped")
            raise
        except Exception as error:  # noqa: BLE001 - the run ends with an event, whatever it was
            _log.exception("training_run_not_done", run_id=run_id)
            await self._fail("crashed", f"{type(error).__name__}: {error}")
        finally:
            if folder is not None and self._keeps_files:
                await self._keep_files(folder / "out")
            if folder is not None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _run_in(self, folder: Path) -> None:
        out, data = folder / "out", folder / "data"
        for each in (out, data):
            each.mkdir()
        order = await self._order(out, data)
        self.report.phase("training")
        finished, log = await self._trained(order, out)
        self.report.log = log
        if self._cancelled.is_set():
            return
        file = await asyncio.to_thread(artifact_in, out, finished, self._limits.artifact_bytes_max)
        self._artifact_name = file.name
        self.report.phase("storing")
        await self._start()
        registered = await self._register(file, finished)
        if registered.model_version is not None:
            await self._profile(registered.model_version, finished)
            await self._validate(registered.model_version)

    async def _keep_files(self, out: Path) -> None:
        """Keep what the run left beside its artifact, also where it failed: then it is wanted most."""
        without = () if self._artifact_name is None else (self._artifact_name,)
        names = {"run_id": self.request.run_id, "model_name": self.model_name}
        try:
            self.report.kept, left_out = await self._artifacts.keep_files(
                out, self.report.log, without=(*without, *ARTIFACT_NAMES), **names
            )
        except (HotswapError, OSError, ValueError) as error:
            _log.warning("run_files_not_kept", run_id=self.request.run_id, reason=str(error))
            return
        if left_out:
            _log.warning("run_files_left_out", run_id=self.request.run_id, files=left_out[:20])

    async def _order(self, out: Path, data: Path) -> TrainerOrder:
        files = []
        for number, digest in enumerate(self.request.datasets):
            file = data / f"{number}.safetensors"
            try:
                await self._artifacts.fetch_dataset(digest, file)
            except (HotswapError, OSError) as error:
                raise RunFailedError("bad-data", f"dataset {digest} cannot be had: {error}") from error
            files.append(DatasetFile(digest=digest, path=str(file)))
        return TrainerOrder(
            run_id=self.request.run_id,
            model_name=self.model_name,
            trainer=self.request.trainer,
            parameters=self.request.parameters,
            datasets=tuple(files),
            folder=str(out),
            threads=self._limits.threads,
            seconds_max=self._seconds,
            memory_bytes_max=self._limits.memory_bytes_max,
            folder_bytes_max=self._limits.folder_bytes_max,
        )

    @property
    def _seconds(self) -> float:
        asked = self.request.seconds_max
        return self._limits.seconds_max if asked is None else min(asked, self._limits.seconds_max)

    async def _trained(self, order: TrainerOrder, out: Path) -> tuple[TrainerFinished, str]:
        """Let the trainer work, and return what it said at the end. RunFailedError."""
        try:
            async with self._place.open(order, out) as trainer:
                try:
                    end = await self._heard(trainer)
                finally:
                    self.report.log = trainer.log
        except OSError as error:
            raise RunFailedError("crashed", f"the trainer cannot be started: {error}") from error
        if self._cancelled.is_set():
            return TrainerFinished(), trainer.log
        last = self._last
        if isinstance(last, TrainerFailed):
            raise RunFailedError(last.cause, _with_log(last.detail, trainer.log))
        if end.cause is not None:
            raise RunFailedError(end.cause, _with_log(end.detail, trainer.log))
        return last or TrainerFinished(), trainer.log

    async def _heard(self, trainer: RunningTrainer) -> TrainerEnd:
        heard = asyncio.create_task(trainer.listen(self._take))
        cancelled = asyncio.create_task(self._cancelled.wait())
        began = asyncio.create_task(self._began.wait())
        try:
            grace = self._place.grace_seconds
            # One that begins when it says something must do so in the time that it may take.
            waits = self._seconds if grace is None else grace
            await asyncio.wait({heard, cancelled, began}, timeout=waits, return_when=asyncio.FIRST_COMPLETED)
            if not heard.done() and not cancelled.done() and not isinstance(self._last, TrainerFailed):
                await self._start()
            await asyncio.wait({heard, cancelled}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                return heard.result()
            if not cancelled.done():
                raise RunFailedError("timed-out", _with_log(f"it took longer than {self._seconds:g} s", trainer.log))
            return TrainerEnd(cause="cancelled")
        except BadOutputError as error:
            raise RunFailedError("bad-output", _with_log(str(error), trainer.log)) from error
        finally:
            trainer.stop()
            for task in (heard, cancelled, began):
                task.cancel()
            await asyncio.gather(heard, cancelled, began, return_exceptions=True)

    def _take(self, line: TrainerLine) -> None:
        if isinstance(line, TrainerProgress):
            self.report.take(line)
        elif isinstance(line, TrainerFinished | TrainerFailed):
            self._last = line
        if not isinstance(line, TrainerFailed):
            self._began.set()

    async def _start(self) -> None:
        """Record that the run began. RunFailedError where the log does not let it, as when it was cancelled."""
        if self._started:
            return
        result = await self._registry.handle(
            StartTraining(
                **self._fields("start"),
                run_id=self.request.run_id,
                architecture=self.request.trainer,
                data_snapshot=", ".join(self.request.datasets)[:512] or None,
                parameters={
                    name: str(value)[:LABEL_VALUE_CHARACTERS_MAX] for name, value in self.request.parameters.items()
                },
            )
        )
        if result.refusal is not None:
            self._cancelled.set()
            raise RunFailedError("cancelled", result.refusal.reason)
        self._started = True

    async def _register(self, file: Path, finished: TrainerFinished) -> CommandResult:
        stored = await self._stored(file, finished)
        metrics = dict(list(finished.metrics.items())[:LABELS_MAX])
        result = await self._registry.handle(
            RegisterVersion(
                **self._fields("register"),
                artifact=stored.artifact,
                trial=stored.trial,
                graph=stored.graph,
                provenance=Provenance(
                    origin="trained",
                    created_by=self._actor,
                    code_revision=finished.code_revision,
                    data_snapshot=finished.data_snapshot or ", ".join(self.request.datasets)[:512] or None,
                    environment=finished.environment,
                ),
                run_id=self.request.run_id,
                metrics=metrics,
                tags={"trainer": self.request.trainer},
            )
        )
        if result.refusal is not None:
            raise RunFailedError("registry-refused", result.refusal.reason)
        return result

    async def _stored(self, file: Path, finished: TrainerFinished) -> Registrable:
        try:
            return await self._artifacts.store_model(file, finished.options)
        except (ArtifactFormatError, TrialFailedError, ArtifactTooLargeError) as error:
            raise RunFailedError("bad-output", f"what the trainer left cannot be served: {error}") from error
        except HotswapError as error:
            raise RunFailedError("artifact-store", str(error)) from error

    async def _profile(self, model_version: str, finished: TrainerFinished) -> None:
        profile = finished.profile
        if profile is None:
            return
        result = await self._registry.handle(
            ProfileVersion(
                **self._fields("profile"),
                model_version=model_version,
                source=profile.source,
                rows=profile.rows,
                sketches=profile.sketches,
            )
        )
        if result.refusal is not None:
            _log.warning("profile_refused", run_id=self.request.run_id, reason=result.refusal.reason)

    async def _validate(self, model_version: str) -> None:
        """Have the version measured. A version that cannot be is one all the same; a person, or another run, may."""
        self.report.phase("validating")
        try:
            await self._trainer.validate(
                self.model_name,
                model_version,
                actor=self._actor,
                command_id=own_id(f"training:{self.request.run_id}:validate"),
                correlation_id=self.request.run_id,
                # Nothing can be tried against a version that is not there.
                promote_first=self.request.after not in ("nothing", "ask"),
            )
        except HotswapError as error:
            self.report.said = f"registered as {model_version}, and not validated: {error}"
            _log.warning("version_not_validated", run_id=self.request.run_id, reason=str(error))
        else:
            self.report.said = f"registered as {model_version}"

    async def _fail(self, cause: TrainingFailureCause, detail: str) -> None:
        self.report.said = f"{cause}: {detail}"[:LOG_TOLD_CHARACTERS]
        if self._cancelled.is_set():
            self.report.said = "cancelled"
            return
        with suppress(HotswapError):
            result = await self._registry.handle(
                FailTraining(
                    **self._fields("fail"),
                    run_id=self.request.run_id,
                    cause=cause,
                    detail=detail[:DETAIL_CHARACTERS_MAX],
                )
            )
            if result.refusal is not None:
                _log.info("training_run_over_already", run_id=self.request.run_id, reason=result.refusal.reason)

    def _fields(self, step: str) -> dict[str, Any]:
        return {
            "command_id": own_id(f"training:{self.request.run_id}:{step}"),
            "actor": self._actor,
            "model_name": self.model_name,
            "correlation_id": self.request.run_id,
        }


def _with_log(text: str, log: str) -> str:
    tail = log[-LOG_TOLD_CHARACTERS:].strip()
    return f"{text}; the end of its log:\n{tail}" if tail else text
