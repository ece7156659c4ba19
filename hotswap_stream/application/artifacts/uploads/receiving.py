"""Receiving uploads, and making models of them: a few at a time, and without a trace of what is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import structlog

from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.artifacts.uploads.imported import ImportedArtifact, ModelImport
from hotswap_stream.application.artifacts.uploads.port import (
    PIECE_BYTES_MAX,
    OpenUpload,
    TooManyTrialsError,
    UploadFolder,
    UploadIncompleteError,
    UploadLimits,
    UploadState,
    UploadTooLargeError,
    WrongOffsetError,
)
from hotswap_stream.errors import HotswapError

WRITE_BYTES = 1024**2
"""The part of a file that is in memory at a time."""
SWEEP_SECONDS = 30.0
STOP_SECONDS_MAX = 10.0
NOTHING_BESIDE: Mapping[str, Path] = MappingProxyType({})

_Result = TypeVar("_Result")
_log = structlog.get_logger(__name__)


class Uploads:
    """Uploads of one environment, as one process receives them. Used from one event loop."""

    def __init__(self, folder: UploadFolder, import_model: ModelImport, limits: UploadLimits) -> None:
        self.limits = limits
        self._folder = folder
        self._import_model = import_model
        self._trials = asyncio.Semaphore(limits.trials_max)
        self._open: set[asyncio.Future[None]] = set()

    async def begin(self, size_bytes: int, digest: str) -> UploadState:
        """Make place for a file that comes in pieces. Errors as of UploadFolder."""
        if not size_bytes:
            raise _empty()
        return await asyncio.to_thread(self._folder.begin, size_bytes, digest)

    async def state(self, upload_id: str) -> UploadState:
        """Return how far an upload came. UnknownUploadError."""
        return await asyncio.to_thread(self._folder.state, upload_id)

    async def delete(self, upload_id: str) -> None:
        """Delete an upload. UnknownUploadError, UploadBusyError."""
        async with self._opened(upload_id) as upload:
            await asyncio.to_thread(upload.remove)

    async def append(
        self, upload_id: str, offset: int, pieces: AsyncIterator[bytes], announced_bytes: int | None
    ) -> UploadState:
        """Write one piece of an upload. What comes before the connection breaks stays.

        Args:
            upload_id: Which upload.
            offset: Where the piece begins in the file.
            pieces: The bytes as they come.
            announced_bytes: How many will come, where that is known.

        Raises:
            UnknownUploadError: There is no such upload.
            UploadBusyError: Somebody else has it.
            WrongOffsetError: The upload does not end there.
            UploadTooLargeError: The piece is too large, or goes beyond the end of the file; nothing of it stays.
        """
        async with self._opened(upload_id) as upload:
            state = upload.state
            if offset != state.received_bytes:
                raise WrongOffsetError(offset, state.received_bytes)
            most = min(PIECE_BYTES_MAX, state.size_bytes - offset)
            try:
                await _write(upload, pieces, most, announced_bytes)
            except UploadTooLargeError:
                await asyncio.to_thread(upload.cut_off, offset)
                raise
            return upload.state

    @asynccontextmanager
    async def received(
        self, pieces: AsyncIterator[bytes], announced_bytes: int | None, digest: str | None
    ) -> AsyncIterator[Path]:
        """Receive one file at once; it is gone at the end.

        Args:
            pieces: The bytes as they come.
            announced_bytes: How many will come, where that is known.
            digest: What the file should have, if that is known.

        Raises:
            ArtifactFormatError: The file is empty.
            TooManyUploadsError: There is no place for it now.
            UploadTooLargeError: It is larger than any may be.
            UploadDigestError: It has another digest.
        """
        async with self._held(lambda: self._folder.begin_whole(announced_bytes, digest)) as upload:
            await _write(upload, pieces, self.limits.file_bytes_max, announced_bytes)
            if not upload.state.received_bytes:
                raise _empty()
            await asyncio.to_thread(upload.check_digest)
            yield upload.path

    async def import_file(
        self, file: Path, options: ModelOptions, beside: Mapping[str, Path] = NOTHING_BESIDE
    ) -> ImportedArtifact:
        """Make an artifact of files that are here. Errors as of ModelImport, and TooManyTrialsError."""
        try:
            async with asyncio.timeout(self.limits.trial_wait_seconds_max):
                await self._trials.acquire()
        except TimeoutError:
            raise TooManyTrialsError(
                f"{self.limits.trials_max} models are tried, and none was done within "
                f"{self.limits.trial_wait_seconds_max:g} s; try again later"
            ) from None
        try:
            imported = await self._import_model(file, beside, options)
        finally:
            self._trials.release()
        _log.info("artifact_uploaded", digest=imported.artifact_digest, size_bytes=imported.size_bytes)
        return imported

    async def import_uploads(self, file: str, beside: Mapping[str, str], options: ModelOptions) -> ImportedArtifact:
        """Make an artifact of uploads. They are gone afterwards, unless the same call may succeed later.

        Args:
            file: Id of the upload that is the model.
            beside: Ids of the uploads that go with it, by the names that the graph has for them.
            options: What the graph cannot say.

        Raises:
            UnknownUploadError: There is no such upload.
            UploadBusyError: Somebody else has one.
            UploadIncompleteError: Not all bytes are here.
            UploadDigestError: They are not those that were announced.
            UploadTooLargeError: All together have too many bytes.
            TooManyTrialsError: Others are tried, and it was not this one's turn in time.
            HotswapError: Those of ModelImport.
        """
        async with AsyncExitStack() as stack:
            uploads = [await stack.enter_async_context(self._opened(each)) for each in (file, *beside.values())]
            for upload in uploads:
                if upload.state.received_bytes < upload.state.size_bytes:
                    raise UploadIncompleteError(upload.state)
            try:
                imported = await self._of_complete(uploads, list(beside), options)
            except HotswapError as error:
                if not error.retriable:
                    await _remove(uploads)
                raise
            await _remove(uploads)
            return imported

    async def keep_clean(self) -> None:
        """Delete what expired and what died processes left, now and every half minute, until cancelled."""
        while True:
            try:
                deleted = await asyncio.to_thread(self._folder.sweep)
            except HotswapError as error:
                _log.warning("uploads_not_swept", cause=str(error))
            else:
                if deleted:
                    _log.info("uploads_swept", files=deleted)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _of_complete(
        self, uploads: Sequence[OpenUpload], names: Sequence[str], options: ModelOptions
    ) -> ImportedArtifact:
        size_bytes = sum(upload.state.size_bytes for upload in uploads)
        if size_bytes > self.limits.file_bytes_max:
            raise _too_large(size_bytes, self.limits.file_bytes_max)
        for upload in uploads:
            await asyncio.to_thread(upload.check_digest)
        paths = {name: upload.path for name, upload in zip(names, uploads[1:], strict=True)}
        return await self.import_file(uploads[0].path, options, paths)

    async def ended(self) -> None:
        """Wait until no request has an upload any more: a server that stops cancels them, and goes on meanwhile."""
        if self._open:
            await asyncio.wait(set(self._open), timeout=STOP_SECONDS_MAX)

    def _opened(self, upload_id: str) -> AbstractAsyncContextManager[OpenUpload]:
        return self._held(lambda: self._folder.open(upload_id))

    @asynccontextmanager
    async def _held(self, opened: Callable[[], OpenUpload]) -> AsyncIterator[OpenUpload]:
        """Open an upload in a thread, and close it in the end, even where the opening was cancelled."""
        closed = asyncio.get_running_loop().create_future()
        self._open.add(closed)
        opening = asyncio.ensure_future(asyncio.to_thread(opened))
        try:
            await _until_done(opening)
            yield opening.result()
        finally:
            try:
                if not opening.cancelled() and opening.exception() is None:
                    await _to_the_end(opening.result().close)
            finally:
                self._open.discard(closed)
                closed.set_result(None)


async def _remove(uploads: Sequence[OpenUpload]) -> None:
    for upload in uploads:
        await asyncio.to_thread(upload.remove)


async def _write(upload: OpenUpload, pieces: AsyncIterator[bytes], bytes_max: int, announced_bytes: int | None) -> None:
    if announced_bytes is not None and announced_bytes > bytes_max:
        raise _too_large(announced_bytes, bytes_max)
    total, waiting = 0, bytearray()
    try:
        async for piece in pieces:
            total += len(piece)
            if total > bytes_max:
                raise _too_large(total, bytes_max)
            waiting += piece
            if len(waiting) >= WRITE_BYTES:
                written, waiting = bytes(waiting), bytearray()
                await asyncio.to_thread(upload.append, written)
    finally:
        if waiting and total <= bytes_max:
            await _to_the_end(lambda: upload.append(bytes(waiting)))


async def _to_the_end(work: Callable[[], _Result]) -> _Result:
    """Do it in a thread, and wait for it even when cancelled: what comes next relies on it."""
    doing = asyncio.ensure_future(asyncio.to_thread(work))
    await _until_done(doing)
    return doing.result()


async def _until_done(doing: asyncio.Future[Any]) -> None:
    """Wait for what a thread does, which nothing can stop; then be cancelled if that was asked meanwhile."""
    cancelled = None
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not doing.cancelled():
            doing.exception()  # nobody else looks at it
        raise cancelled


def _too_large(size_bytes: int, bytes_max: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"there are {size_bytes} bytes or more; {bytes_max} are taken here at most")


def _empty() -> ArtifactFormatError:
    return ArtifactFormatError("the file is empty; a safetensors artifact or an ONNX graph is needed")
