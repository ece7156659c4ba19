"""Runs in processes of this machine, under a keeper."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from hotswap_stream.application.trainers.place import OnLine, RunningTrainer, TrainerEnd
from hotswap_stream.application.trainers.protocol import TrainerOrder
from hotswap_stream.workers.training.kept_process import KeptProcess, ProcessLimits, kept_process

GRACE_SECONDS = 1.0
"""One that refuses its parameters says so before."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Kept:
    """See RunningTrainer."""

    def __init__(self, process: KeptProcess, order: TrainerOrder) -> None:
        self._process = process
        self._order = order

    @property
    def log(self) -> str:
        return self._process.log

    def stop(self) -> None:
        self._process.stop()

    async def listen(self, on_line: OnLine) -> TrainerEnd:
        await self._process.listen(self._order, on_line)
        end = self._process.end
        if end is None:
            return TrainerEnd(cause="crashed", detail="the trainer's processes were ended from outside")
        if end.over is None and end.exit_code == 0:
            return TrainerEnd()
        return TrainerEnd(cause="crashed" if end.over is None else "over-limit", detail=end.told())


class LocalPlace:
    """See TrainerPlace."""

    grace_seconds = GRACE_SECONDS

    def __init__(self, command: Sequence[str], limits: ProcessLimits, environment: Mapping[str, str]) -> None:
        self._command = command
        self._limits = limits
        self._environment = dict(environment)

    def open(self, order: TrainerOrder, folder: Path) -> AbstractAsyncContextManager[RunningTrainer]:
        """See TrainerPlace."""
        return self._open(order, folder)

    @asynccontextmanager
    async def _open(self, order: TrainerOrder, folder: Path) -> AsyncIterator[RunningTrainer]:
        environment = {**self._environment, **dict.fromkeys(_THREADS, str(order.threads))}
        async with kept_process(self._command, self._limits, folder, environment) as process:
            yield _Kept(process, order)
