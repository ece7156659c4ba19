"""Receiving uploads: how many models are tried at once, and what is left where it is cancelled."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from hotswap_stream.adapters.artifacts.uploads import FolderUploads
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.artifacts.trial import ModelOptions, TrialFailedError
from hotswap_stream.application.artifacts.uploads.imported import ImportedArtifact
from hotswap_stream.application.artifacts.uploads.port import (
    TooManyTrialsError,
    UnknownUploadError,
    UploadLimits,
    UploadNotKeptError,
)
from hotswap_stream.application.artifacts.uploads.receiving import Uploads
from hotswap_stream.errors import HotswapError

CONTENT = b"a model"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
TENSOR = TensorSpec(name="x", datatype="FP32", shape=(-1, 4))


class Import:
    """A `ModelImport` that takes until it may end."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.may_end = asyncio.Event()
        self.error: HotswapError | None = None
        self.read: list[bytes] = []

    async def __call__(self, file: Path, beside: Mapping[str, Path], options: ModelOptions) -> ImportedArtifact:
        assert options == ModelOptions()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.may_end.wait()
            self.read += [path.read_bytes() for path in (file, *beside.values())]
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return ImportedArtifact(
            artifact_digest=DIGEST, size_bytes=7, kind="onnx", inputs=(TENSOR,), outputs=(TENSOR,), trial=None
        )


@pytest.fixture
def importing() -> Import:
    return Import()


def uploads_into(folder: Path, importing: Import, **limits: float) -> Uploads:
    chosen = UploadLimits(file_bytes_max=1_000, **limits)  # type: ignore[arg-type]  # of the test
    return Uploads(FolderUploads(folder, chosen), importing, chosen)


async def pieces(content: bytes = CONTENT) -> AsyncIterator[bytes]:
    for byte in content:
        yield bytes([byte])


async def whole(uploads: Uploads) -> ImportedArtifact:
    async with uploads.received(pieces(), None, DIGEST) as file:
        return await uploads.import_file(file, ModelOptions())


async def uploaded(uploads: Uploads) -> str:
    upload_id = (await uploads.begin(len(CONTENT), DIGEST)).upload_id
    await uploads.append(upload_id, 0, pieces(), None)
    return upload_id


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


async def test_as_many_are_tried_at_once_as_are_allowed(tmp_path: Path, importing: Import) -> None:
    uploads = uploads_into(tmp_path, importing, trials_max=2)
    tasks = [asyncio.create_task(whole(uploads)) for _ in range(5)]
    while importing.running < 2:
        await asyncio.sleep(0)
    importing.may_end.set()
    assert [each.artifact_digest for each in await asyncio.gather(*tasks)] == [DIGEST] * 5
    assert importing.most == 2
    assert importing.read == [CONTENT] * 5
    assert left(tmp_path) == []


async def test_a_turn_that_does_not_come_in_time_is_refused(tmp_path: Path, importing: Import) -> None:
    uploads = uploads_into(tmp_path, importing, trials_max=1, trial_wait_seconds_max=0.01)
    kept = await uploaded(uploads)
    first = asyncio.create_task(whole(uploads))
    while not importing.running:
        await asyncio.sleep(0)
    for refused in (whole(uploads), uploads.import_uploads(kept, {}, ModelOptions())):
        with pytest.raises(TooManyTrialsError, match="try again later"):
            await refused
    importing.may_end.set()
    await first
    assert (await uploads.import_uploads(kept, {}, ModelOptions())).artifact_digest == DIGEST
    assert left(tmp_path) == []


async def test_uploads_stay_where_the_same_may_succeed_later(tmp_path: Path, importing: Import) -> None:
    uploads = uploads_into(tmp_path, importing)
    importing.may_end.set()
    file, beside = await uploaded(uploads), await uploaded(uploads)
    for error, is_left in ((UploadNotKeptError("later"), True), (TrialFailedError("never"), False)):
        importing.error = error
        with pytest.raises(type(error)):
            await uploads.import_uploads(file, {"weights": beside}, ModelOptions())
        assert bool(left(tmp_path)) is is_left
    with pytest.raises(UnknownUploadError):
        await uploads.state(file)


async def test_what_is_cancelled_leaves_no_file_and_no_lock(tmp_path: Path, importing: Import) -> None:
    uploads = uploads_into(tmp_path, importing)
    kept = await uploaded(uploads)
    importing.may_end.set()
    for steps in range(60):
        for work in (whole, lambda uploads: uploads.import_uploads("0" * 32, {}, ModelOptions())):
            task: asyncio.Task[object] = asyncio.create_task(work(uploads))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert len(left(tmp_path)) == 2, f"after {steps} steps"
    importing.may_end.clear()
    task = asyncio.create_task(uploads.import_uploads(kept, {}, ModelOptions()))
    while not importing.running:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    importing.may_end.set()
    await uploads.import_uploads(kept, {}, ModelOptions())
    assert left(tmp_path) == []
