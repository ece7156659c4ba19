"""Files of a run beside its artifact: plots, a confusion matrix, its log. One bundle a run, in the artifact store.

Their names and digests stand in the last progress record of the run. That record is written by whoever may write to its
topic, so nothing is handed out or deleted by it that is not the bundle of this very run.
"""

import asyncio
import re
import stat
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import structlog
from msgspec import Struct

from hotswap_events.training.progress import RUN_FILES_MAX, RunFile, RunFiles, TrainingProgressed
from hotswap_stream.application.artifacts.bundle import files_of, pack_files
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.errors import HotswapError

FILE_BYTES_MAX = 8 * 1024**2
FILES_BYTES_MAX = 32 * 1024**2
LOG_NAME = "log.txt"
LOG_BYTES_MAX = 1024 * 1024
RUNS_LOOKED_MAX = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_log = structlog.get_logger(__name__)


class RunFilesError(HotswapError):
    """A file of a run is not there, or not what the run said."""


class Collected(Struct, frozen=True):
    """Files of a run, and the names of those that were left out."""

    files: Mapping[str, bytes]
    left_out: tuple[str, ...]


def collect(folder: Path, log: str, without: Iterable[str] = ()) -> Collected:
    """Return the plain files of a run's folder within the limits, and its log.

    Args:
        folder: Of the run; what is a link, empty or has another name than a plain one is left out.
        log: The end of its trainer's log.
        without: Names of files that are kept otherwise.
    """
    found: dict[str, bytes] = {}
    if log:
        found[LOG_NAME] = log.encode()[-LOG_BYTES_MAX:]
    left_out, left = [], FILES_BYTES_MAX - sum(map(len, found.values()))
    for path in sorted(folder.iterdir()):
        if path.name in {*without, LOG_NAME} or not _NAME.fullmatch(path.name):
            continue
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            continue
        if status.st_size > min(FILE_BYTES_MAX, left) or len(found) >= RUN_FILES_MAX:
            left_out.append(path.name)
            continue
        found[path.name] = path.read_bytes()
        left -= len(found[path.name])
    return Collected(found, tuple(left_out))


def bundle_of(run_id: str, model_name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the files as one artifact, which no version can be. ArtifactFormatError."""
    bytes_of = TensorSpec(name="files", datatype="UINT8", shape=(-1,))
    manifest = ArtifactManifest(
        kind="files",
        arguments={"run_id": run_id, "model_name": model_name},
        inputs=(bytes_of,),
        outputs=(bytes_of,),
        warm_up={"files": (1,)},
        batching="request",
    )
    return pack_files(manifest, files)


def described(artifact_digest: str, files: Mapping[str, bytes]) -> RunFiles:
    """Return what the progress record says of the files."""
    return RunFiles(
        artifact_digest=artifact_digest,
        files=tuple(
            RunFile(name=name, digest=f"sha256:{sha256(content).hexdigest()}", size_bytes=len(content))
            for name, content in sorted(files.items())
        ),
    )


async def fetch_file(store: ArtifactStore, progress: TrainingProgressed | None, name: str) -> bytes:
    """Return one file of a run, checked.

    Raises:
        RunFilesError: The run has none of this name, or what is stored is not what it says.
        HotswapError: The store's.
    """
    kept = None if progress is None else progress.kept
    said = None if kept is None else next((each for each in kept.files if each.name == name), None)
    if progress is None or kept is None or said is None or not _NAME.fullmatch(name):
        names = ", ".join(each.name for each in kept.files) if kept is not None else "none that are kept"
        raise RunFilesError(f"the run has no file {name[:128]!r}; it has {names}")
    loaded = await store.fetch(kept.artifact_digest)
    if not is_bundle_of(loaded.manifest, progress):
        raise RunFilesError(f"{kept.artifact_digest} does not hold the files of training run {progress.run_id!r}")
    try:
        content = files_of(loaded.content).get(name)
    except ArtifactFormatError as error:
        raise RunFilesError(str(error)) from error
    if content is None or f"sha256:{sha256(content).hexdigest()}" != said.digest:
        raise RunFilesError(f"file {name!r} of training run {progress.run_id!r} is not what the run said")
    return bytes(content)


def is_bundle_of(manifest: ArtifactManifest, progress: TrainingProgressed) -> bool:
    """Return whether an artifact holds the files of this run."""
    whose = {"run_id": progress.run_id, "model_name": progress.model_name}
    return manifest.kind == "files" and manifest.arguments == whose


async def drop_files(store: ArtifactStore, progress: TrainingProgressed) -> None:
    """Delete the files of a run from the store. HotswapError."""
    if progress.kept is None:
        return
    digest = progress.kept.artifact_digest
    if not await store.exists(digest):
        return
    loaded = await store.fetch(digest)
    if is_bundle_of(loaded.manifest, progress):
        await store.references.release(digest, grace_seconds=0.0)
    else:
        _log.warning("run_files_are_of_others", run_id=progress.run_id, artifact_digest=digest)


def too_old(heard: Iterable[TrainingProgressed], model_name: str, runs_max: int) -> list[TrainingProgressed]:
    """Return the runs of a model whose files go: of those that ended, all but the newest ones that are kept."""
    ended = [each for each in heard if each.model_name == model_name and each.phase == "ended" and each.kept]
    ended.sort(key=lambda each: each.at, reverse=True)
    return ended[runs_max:RUNS_LOOKED_MAX]


async def kept_files(
    store: ArtifactStore, folder: Path, log: str, *, run_id: str, model_name: str, without: Iterable[str]
) -> tuple[RunFiles | None, tuple[str, ...]]:
    """Put the files of a run into the store; return what to say of them, and what was left out.

    HotswapError; OSError.
    """
    collected = await asyncio.to_thread(collect, folder, log, without)
    if not collected.files:
        return None, collected.left_out
    content = await asyncio.to_thread(bundle_of, run_id, model_name, collected.files)
    facts = await store.put_artifact(content)
    return described(facts.digest, collected.files), collected.left_out
