"""A runner: claims runs that were asked for, does them, says how far they are, and fails those of silent runners."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from hotswap_events.commands import ClaimTraining, FailTraining
from hotswap_events.training.progress import PROGRESS_SECONDS, TrainingProgressed
from hotswap_stream.application.clock import Clock
from hotswap_stream.application.own_commands import own_id
from hotswap_stream.application.trainers.place import TrainerPlace
from hotswap_stream.application.trainers.port import ProgressTopic, RunArtifacts
from hotswap_stream.application.trainers.run_files import too_old
from hotswap_stream.application.training.trainer import ModelTrainer
from hotswap_stream.domain.reserved import TRAINER_ACTOR, TRAINING_ACTOR
from hotswap_stream.domain.state.runs import RunState
from hotswap_stream.errors import HotswapError
from hotswap_stream.workers.training.one_run import ClaimedRun, RunLimits
from hotswap_stream.workers.training.run_report import RunReport

LOOK_SECONDS = 0.5
"""At least so often it looks for runs to claim, and at its own."""
_log = structlog.get_logger(__name__)


class RunnerConfig(Struct, frozen=True, kw_only=True):
    """One runner's part in an environment."""

    runner: str
    """Another one for each life of the process."""
    places: Mapping[str, TrainerPlace]
    """Trainer → where its runs are done."""
    runs_max: int
    """At once."""
    silent_seconds: float
    """After which a run of which nothing is heard is failed."""
    folder: Path
    limits: RunLimits
    files_runs_max: int = 50
    """Runs of a model whose files are kept."""


class TrainingRunner:
    """Follows the registry until its task is cancelled."""

    def __init__(
        self,
        config: RunnerConfig,
        *,
        trainer: ModelTrainer,
        artifacts: RunArtifacts,
        progress: ProgressTopic,
        clock: Clock,
    ) -> None:
        self._config = config
        self._trainer = trainer
        self._registry = trainer.registry
        self._artifacts = artifacts
        self._progress = progress
        self._clock = clock
        self._runs: dict[str, ClaimedRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard: dict[str, tuple[int, float]] = {}
        """Run of another runner → how often it was heard of, and since when by this clock it was not."""
        self._told_s = 0.0

    async def run(self, on_well: Callable[[], None]) -> None:
        """Claim and do runs; at the end those that are left are ended, with events that say so."""
        try:
            while True:
                self._registry.check_followed()
                await self._claim()
                self._end_cancelled()
                await self._tell()
                await self._fail_silent()
                on_well()
                await self._wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self) -> None:
        """Return when the log changed, or after a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._registry.wait_for_change()

    async def _claim(self) -> None:
        for model_name, run in self._asked_for():
            if len(self._runs) >= self._config.runs_max:
                return
            try:
                result = await self._registry.handle(
                    ClaimTraining(
                        command_id=own_id(f"training:{run.run_id}:claim:{self._config.runner}"),
                        actor=f"{TRAINER_ACTOR}{self._config.runner}"[:200],
                        model_name=model_name,
                        correlation_id=run.run_id,
                        run_id=run.run_id,
                        runner=self._config.runner,
                    )
                )
            except HotswapError as error:
                _log.warning("training_run_not_claimed", run_id=run.run_id, reason=str(error))
                return
            if result.status == "accepted":
                self._begin(model_name, run)

    def _asked_for(self) -> list[tuple[str, RunState]]:
        """Return what may be claimed here, what was asked for first before all others."""
        found = [
            (model_name, run)
            for model_name, stream in self._registry.fold.streams.items()
            for run in stream.state.runs.values()
            if run.status == "requested" and run.request is not None and run.request.trainer in self._config.places
        ]
        return sorted(found, key=lambda each: 0.0 if each[1].requested_at is None else each[1].requested_at.timestamp())

    def _begin(self, model_name: str, run: RunState) -> None:
        request, config = run.request, self._config
        assert request is not None  # noqa: S101 - only those are claimed
        _log.info("training_run_claimed", run_id=run.run_id, model_name=model_name, trainer=request.trainer)
        report = RunReport(run_id=run.run_id, model_name=model_name, trainer=request.trainer, runner=config.runner)
        claimed = ClaimedRun(
            model_name,
            request,
            place=config.places[request.trainer],
            actor=f"{TRAINER_ACTOR}{config.runner}"[:200],
            folder=config.folder,
            limits=config.limits,
            keeps_files=config.files_runs_max > 0,
            artifacts=self._artifacts,
            trainer=self._trainer,
            report=report,
        )
        self._runs[run.run_id] = claimed
        task = asyncio.create_task(self._do(claimed), name=f"run-{run.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, claimed: ClaimedRun) -> None:
        try:
            await claimed.run()
        finally:
            self._runs.pop(claimed.request.run_id, None)
            claimed.report.phase("ended")
            last = claimed.report.progress(self._clock.now())
            with suppress(HotswapError, asyncio.CancelledError):
                await self._progress.tell(last)
                await self._drop_old_files(last)

    async def _drop_old_files(self, last: TrainingProgressed) -> None:
        """Delete the files of runs for which those of newer ones leave no room, and say of each that they are gone."""
        if last.kept is None or not self._progress.known:
            return
        heard = {**self._progress.fold.latest, last.run_id: last}
        for old in too_old(heard.values(), last.model_name, self._config.files_runs_max):
            try:
                await self._artifacts.drop_files(old)
            except HotswapError as error:
                _log.warning("run_files_not_deleted", run_id=old.run_id, reason=str(error))
                continue
            await self._progress.tell(msgspec.structs.replace(old, kept=None))

    def _end_cancelled(self) -> None:
        for run_id, claimed in self._runs.items():
            known = self._registry.state(claimed.model_name).runs.get(run_id)
            if known is None or known.status == "cancelled" or known.status == "failed":
                claimed.cancel()

    async def _tell(self) -> None:
        due = time.monotonic() - self._told_s >= PROGRESS_SECONDS
        for claimed in tuple(self._runs.values()):
            if due or claimed.report.changed:
                await self._progress.tell(claimed.report.progress(self._clock.now()))
        if due:
            self._told_s = time.monotonic()

    async def _fail_silent(self) -> None:
        """Fail runs whose runner was not heard of for too long, by this clock, since this one listens."""
        if not self._progress.known:
            self._heard.clear()
            return
        seen: set[str] = set()
        for model_name, stream in tuple(self._registry.fold.streams.items()):
            for run in tuple(stream.state.runs.values()):
                if run.request is None or run.status not in ("claimed", "running") or run.run_id in self._runs:
                    continue
                seen.add(run.run_id)
                if self._silent_s(model_name, run) > self._config.silent_seconds:
                    await self._fail(model_name, run)
        for run_id in self._heard.keys() - seen:
            del self._heard[run_id]

    def _silent_s(self, model_name: str, run: RunState) -> float:
        fold, now_s = self._progress.fold, time.monotonic()
        count = 0 if fold.of(run.run_id, model_name, run.runner) is None else fold.heard.get(run.run_id, 0)
        before = self._heard.get(run.run_id)
        if before is None or before[0] != count:
            self._heard[run.run_id] = (count, now_s)
            return 0.0
        return now_s - before[1]

    async def _fail(self, model_name: str, run: RunState) -> None:
        with suppress(HotswapError):
            result = await self._registry.handle(
                FailTraining(
                    command_id=own_id(f"training:{run.run_id}:silent"),
                    actor=TRAINING_ACTOR,
                    model_name=model_name,
                    correlation_id=run.run_id,
                    run_id=run.run_id,
                    cause="silent",
                    detail=f"nothing was heard of its runner {run.runner} for {self._config.silent_seconds:g} s",
                )
            )
            if result.status == "accepted":
                _log.warning("training_run_silent", run_id=run.run_id, model_name=model_name, runner=run.runner)
