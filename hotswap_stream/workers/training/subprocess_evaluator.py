"""Evaluation in a process of its own: what crashes or hangs there ends as an error here."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from hotswap_events.registry.version_options import BF16, PLAIN, VersionOptions
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, ArtifactFormatError, tensor_names
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore, LoadedArtifact
from hotswap_stream.application.training.evaluation import (
    EvaluationAborted,
    EvaluationFailedError,
    EvaluationLine,
    EvaluationOrder,
    Measured,
    MeasuredOnSet,
    NotMeasurableError,
    SetEvaluationOrder,
)
from hotswap_stream.workers.training.process import LineProtocolError, ordered_process
from hotswap_stream.workers.training.work_folder import make_work_folder

_log = structlog.get_logger(__name__)

_NAME = "the evaluation process"
_NO_SET = (
    "the model has no validation set, and only architectures that take the digits are measured without one: choose one "
    "with `hotswap-stream validation-set choose MODEL FILE`"
)
_DIGITS_IN_F32 = (
    "labelled digits are measured in f32 alone, and a version is computed with bf16: choose a validation set of the "
    "model's own with `hotswap-stream validation-set choose MODEL FILE`"
)
_DIGITS_ARRAYS = frozenset({"images", "labels"})
_LINES: "msgspec.json.Decoder[EvaluationLine]" = msgspec.json.Decoder(EvaluationLine)


class SubprocessEvaluator:
    """Start a process once per measurement, as an `Evaluator`.

    `command` measures on labelled images of digits, `set_command` on sets of the model's own. `seconds_max` limits a
    measurement, `set_bytes_max` a set in a file; `folder` takes copies of the artifacts meanwhile.
    """

    def __init__(
        self,
        command: Sequence[str],
        store: ArtifactStore,
        *,
        set_command: Sequence[str],
        folder: Path,
        seconds_max: float,
        set_bytes_max: int,
        threads: int = 1,
    ) -> None:
        self._command = tuple(command)
        self._set_command = tuple(set_command)
        self._store = store
        self._folder = folder
        self._seconds_max = seconds_max
        self._set_bytes_max = set_bytes_max
        self._threads = threads

    async def measure(
        self,
        digest: str,
        *,
        compared_with: str | None = None,
        options: VersionOptions = PLAIN,
        compared_options: VersionOptions = PLAIN,
        data_file: Path | None = None,
        validation_set: ValidationSet | None = None,
    ) -> Measured | MeasuredOnSet:
        """Measure an artifact in a process of its own. See `Evaluator`."""
        folder = await asyncio.to_thread(make_work_folder, self._folder, "evaluation-", seconds_max=self._seconds_max)
        try:
            artifacts = [
                await self._store.fetch(artifact) for artifact in (digest, compared_with) if artifact is not None
            ]
            files = [await _copied(artifact, folder / f"artifact-{n}") for n, artifact in enumerate(artifacts)]
            compared = files[1] if compared_with is not None else None
            data = None if data_file is None else os.path.abspath(data_file)  # noqa: ASYNC240 - asks no disk
            manifests = [artifact.manifest for artifact in artifacts]
            del artifacts
            if await asyncio.to_thread(_measures_digits, manifests, data_file, validation_set):
                if BF16 in (options.precision, compared_options.precision):
                    raise NotMeasurableError(_DIGITS_IN_F32)
                digits = EvaluationOrder(
                    candidate_file=files[0], compared_file=compared, data_file=data, threads=self._threads
                )
                measured = await self._ask(self._command, digits)
            else:
                order = SetEvaluationOrder(
                    candidate_file=files[0],
                    candidate_options=options,
                    compared_file=compared,
                    compared_options=compared_options,
                    set_file=None if data is not None else await self._copied_set(validation_set, folder),
                    data_file=data,
                    data_kind=None if validation_set is None else validation_set.kind,
                    bytes_max=self._set_bytes_max,
                    threads=self._threads,
                )
                measured = await self._ask(self._set_command, order)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        _log.info("evaluated", digest=digest, compared_with=compared_with, figures=measured.candidate.figures())
        return measured

    async def _copied_set(self, chosen: ValidationSet | None, folder: Path) -> str:
        if chosen is None:
            raise NotMeasurableError(_NO_SET)
        return await _copied(await self._store.fetch(chosen.artifact_digest), folder / "set")

    async def _ask(
        self, command: Sequence[str], order: EvaluationOrder | SetEvaluationOrder
    ) -> Measured | MeasuredOnSet:
        said: list[EvaluationLine] = []
        try:
            async with ordered_process(command, _LINES, _NAME) as process:
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
            raise (NotMeasurableError if last.not_measurable else EvaluationFailedError)(last.detail)
        if last is None or process.exit_code != 0:
            raise EvaluationFailedError(process.how_it_ended())
        return last


async def _copied(artifact: LoadedArtifact, path: Path) -> str:
    """Copy what the store has verified for the process, which has no way to the store."""
    await asyncio.to_thread(path.write_bytes, artifact.content)
    return str(path)


def _measures_digits(
    manifests: Sequence[ArtifactManifest], data_file: Path | None, validation_set: ValidationSet | None
) -> bool:
    """Return whether the set is one of labelled digits, as architectures are trained on here."""
    if any(manifest.kind != "architecture" for manifest in manifests):
        return False
    if data_file is None:
        return validation_set is None
    if data_file.suffix != ".safetensors":
        return False
    try:
        with data_file.open("rb") as file:
            return tensor_names(file.read(HEADER_BYTES_MAX + 8), os.fstat(file.fileno()).st_size) == _DIGITS_ARRAYS
    except (OSError, ArtifactFormatError):
        # That process says what is wrong with it.
        return True
