"""Evaluation in a process of its own: what crashes or hangs there ends as an error here."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.training.evaluation import (
    EvaluationAborted,
    EvaluationFailedError,
    EvaluationLine,
    EvaluationOrder,
    Measured,
)
from hotswap_stream.workers.training.process import LineProtocolError, ordered_process
from hotswap_stream.workers.training.work_folder import make_work_folder

_log = structlog.get_logger(__name__)

_NAME = "the evaluation process"
_LINES: "msgspec.json.Decoder[EvaluationLine]" = msgspec.json.Decoder(EvaluationLine)


class SubprocessEvaluator:
    """Start `command` once per measurement, as an `Evaluator`.

    `seconds_max` limits a measurement; `folder` takes copies of the artifacts meanwhile.
    """

    def __init__(
        self, command: Sequence[str], store: ArtifactStore, *, folder: Path, seconds_max: float, threads: int = 1
    ) -> None:
        self._command = tuple(command)
        self._store = store
        self._folder = folder
        self._seconds_max = seconds_max
        self._threads = threads

    async def measure(
        self, digest: str, *, compared_with: str | None = None, data_file: Path | None = None
    ) -> Measured:
        """Measure an artifact in a process of its own. See `Evaluator`."""
        folder = await asyncio.to_thread(make_work_folder, self._folder, "evaluation-", seconds_max=self._seconds_max)
        try:
            order = EvaluationOrder(
                candidate_file=await self._copy(digest, folder / "candidate.safetensors"),
                compared_file=None
                if compared_with is None
                else await self._copy(compared_with, folder / "compared.safetensors"),
                data_file=_absolute(data_file),
                threads=self._threads,
            )
            measured = await self._ask(order)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        _log.info("evaluated", digest=digest, compared_with=compared_with, accuracy=measured.candidate.accuracy)
        return measured

    async def _copy(self, digest: str, path: Path) -> str:
        """Copy what the store has verified for the process, which has no way to the store."""
        loaded = await self._store.fetch(digest)
        await asyncio.to_thread(path.write_bytes, loaded.content)
        return str(path)

    async def _ask(self, order: EvaluationOrder) -> Measured:
        said: list[EvaluationLine] = []
        try:
            async with ordered_process(self._command, _LINES, _NAME) as process:
                heard = asyncio.create_task(process.listen(order, said.append))
                try:
                    await asyncio.wait({heard}, timeout=self._seconds_max)
                    if not heard.done():
                        limit = f"the evaluation took longer than evaluation_seconds_max={self._seconds_max:g}"
                        raise EvaluationFailedError(process.with_tail(limit))
                    heard.result()
                finally:
                    heard.cancel()
                    await asyncio.gather(heard, return_exceptions=True)
        except OSError as error:
            raise EvaluationFailedError(f"{_NAME} cannot be started: {error}") from error
        except LineProtocolError as error:
            raise EvaluationFailedError(process.with_tail(str(error))) from error
        last = said[-1] if said else None
        if isinstance(last, EvaluationAborted):
            raise EvaluationFailedError(last.detail)
        if last is None or process.exit_code != 0:
            raise EvaluationFailedError(process.how_it_ended())
        return last


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
