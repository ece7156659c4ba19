"""The one run of a container or of an orchestrator's machine: its order fetched, done here, reported as it goes."""

import asyncio
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import structlog

from hotswap_stream.application.trainers.outside import (
    FILE_NAME,
    FILES_MAX,
    OutsideFailed,
    OutsideOrder,
    ReportedEnd,
    ReportFailedError,
    RunOverError,
    RunReports,
)
from hotswap_stream.application.trainers.place import BadOutputError, RunFailedError, RunningTrainer, TrainerPlace
from hotswap_stream.application.trainers.protocol import (
    DatasetFile,
    TrainerFailed,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
    TrainerProgress,
)
from hotswap_stream.workers.training.one_run import RunLimits
from hotswap_stream.workers.training.run_artifact import artifact_in
from hotswap_stream.workers.training.work_folder import make_work_folder

REPORT_SECONDS = 0.5
"""Between two reports, where there is something to say."""
LIFE_SECONDS_MAX = 15.0
LINES_HELD_MAX = 500
"""Lines between two reports; of more, the last are reported."""
LOG_CHARACTERS_MAX = 200_000
DETAIL_CHARACTERS_MAX = 8_000
_NAME = re.compile(FILE_NAME)
_log = structlog.get_logger(__name__)

_Cause = Literal["bad-data", "not-possible", "crashed", "over-limit", "timed-out", "no-artifact", "bad-output"]
_CAUSES: Mapping[str, _Cause] = {
    "bad-data": "bad-data",
    "not-possible": "not-possible",
    "over-limit": "over-limit",
    "timed-out": "timed-out",
    "no-artifact": "no-artifact",
    "bad-output": "bad-output",
}


class ReportedRunHere:
    """Does the run of one client of the desk."""

    def __init__(
        self, reports: RunReports, places: Mapping[str, TrainerPlace], *, folder: Path, limits: RunLimits
    ) -> None:
        self._reports = reports
        self._places = places
        self._folder = folder
        self._limits = limits
        self._lines: list[TrainerLine] = []
        self._last: TrainerFinished | TrainerFailed | None = None

    async def run(self) -> bool:
        """Do it; return whether it ended well. Whatever happens, nothing that it started is left.

        Raises:
            RunOverError: Nothing of it is taken any more.
            ReportFailedError: The runner cannot be reached, or takes no report.
        """
        order = await self._reports.order()
        folder = await asyncio.to_thread(
            make_work_folder, self._folder, "reported-", seconds_max=self._limits.seconds_max
        )
        try:
            end = await self._end_in(folder, order)
            await self._reports.end(end)
            return isinstance(end, TrainerFinished)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _end_in(self, folder: Path, order: OutsideOrder) -> ReportedEnd:
        try:
            place = self._places.get(order.trainer)
            if place is None:
                known = ", ".join(self._places) or "none"
                raise RunFailedError("not-possible", f"there is no trainer {order.trainer!r} here; there are {known}")
            out, data = folder / "out", folder / "data"
            for each in (out, data):
                each.mkdir()
            here = await self._order_here(order, out, data)
            finished = await self._trained(place, here, order.silent_seconds)
            await self._hand_in(out, finished)
        except RunFailedError as error:
            return OutsideFailed(cause=_CAUSES.get(error.cause, "crashed"), detail=str(error)[:DETAIL_CHARACTERS_MAX])
        except OSError as error:
            return OutsideFailed(cause="crashed", detail=f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS_MAX])
        return finished

    async def _order_here(self, order: OutsideOrder, out: Path, data: Path) -> TrainerOrder:
        files = []
        for number, dataset in enumerate(order.datasets):
            file = data / f"{number}.safetensors"
            try:
                await self._reports.fetch(dataset, file, self._limits.folder_bytes_max)
            except ReportFailedError as error:
                raise RunFailedError("bad-data", str(error)) from error
            files.append(DatasetFile(digest=dataset.digest, path=str(file)))
        return TrainerOrder(
            run_id=order.run_id,
            model_name=order.model_name,
            trainer=order.trainer,
            parameters=order.parameters,
            datasets=tuple(files),
            folder=str(out),
            threads=self._limits.threads,
            seconds_max=min(order.seconds_max, self._limits.seconds_max),
            memory_bytes_max=min(order.memory_bytes_max, self._limits.memory_bytes_max),
            folder_bytes_max=min(order.folder_bytes_max, self._limits.folder_bytes_max),
        )

    async def _trained(self, place: TrainerPlace, here: TrainerOrder, silent_seconds: float) -> TrainerFinished:
        async with place.open(here, Path(here.folder)) as trainer:
            listening = asyncio.create_task(trainer.listen(self._take))
            try:
                async with asyncio.timeout(here.seconds_max):
                    await self._tell_until(listening, min(LIFE_SECONDS_MAX, silent_seconds / 4))
                end = listening.result()
            except TimeoutError as error:
                raise RunFailedError("timed-out", f"it took longer than {here.seconds_max:g} s") from error
            except BadOutputError as error:
                raise RunFailedError("bad-output", str(error)) from error
            finally:
                trainer.stop()
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                await self._tell_log(trainer)
        if isinstance(self._last, TrainerFailed):
            raise RunFailedError(self._last.cause, self._last.detail)
        if end.cause is not None:
            raise RunFailedError(end.cause, end.detail)
        return self._last or TrainerFinished()

    async def _tell_until(self, listening: "asyncio.Task[object]", life_seconds: float) -> None:
        """Report lines, and signs of life, until the trainer has ended. RunOverError."""
        told_s = 0.0
        while True:
            await asyncio.wait({listening}, timeout=REPORT_SECONDS)
            if self._lines or time.monotonic() - told_s > life_seconds:
                lines, self._lines = self._lines, []
                try:
                    await self._reports.progress(lines)
                except ReportFailedError as error:
                    # It goes on: the runner may be there again before it takes the run for silent.
                    _log.warning("progress_not_reported", reason=str(error))
                told_s = time.monotonic()
            if listening.done() and not self._lines:
                return

    async def _tell_log(self, trainer: RunningTrainer) -> None:
        if trainer.log:
            try:
                await self._reports.log(trainer.log[-LOG_CHARACTERS_MAX:])
            except (ReportFailedError, RunOverError) as error:
                _log.warning("log_not_reported", reason=str(error))

    async def _hand_in(self, out: Path, finished: TrainerFinished) -> None:
        """Hand in the artifact, then what else the trainer left. RunFailedError without one."""
        artifact = await asyncio.to_thread(artifact_in, out, finished, self._limits.artifact_bytes_max)
        await self._reports.hand_in(artifact)
        for file in await asyncio.to_thread(_others_in, out, artifact.name):
            await self._reports.hand_in(file)

    def _take(self, line: TrainerLine) -> None:
        if isinstance(line, TrainerFinished | TrainerFailed):
            self._last = line
            return
        if isinstance(line, TrainerProgress) and self._lines:
            before = self._lines[-1]
            if isinstance(before, TrainerProgress) and before.epoch == line.epoch:
                # Of one epoch the last line says all.
                self._lines.pop()
        self._lines.append(line)
        del self._lines[:-LINES_HELD_MAX]


def _others_in(out: Path, artifact: str) -> list[Path]:
    found = [
        each
        for each in sorted(out.iterdir())
        if each.name != artifact and _NAME.fullmatch(each.name) and each.is_file() and not each.is_symlink()
    ]
    return found[: FILES_MAX - 1]
