"""Uploads of models, and what is made of them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from hotswap_events.registry import ArtifactFacts
from hotswap_stream.application.artifacts.bundle import check_names
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, ArtifactFormatError, read_manifest
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions, TrialPassed
from hotswap_stream.application.artifacts.uploads.imported import ImportedArtifact
from hotswap_stream.application.artifacts.uploads.port import UploadLimits
from hotswap_stream.application.artifacts.uploads.receiving import Uploads
from hotswap_stream.application.training.validation_sets import ValidationSetError, set_facts
from hotswap_stream.bootstrap.environment import topics
from hotswap_stream.bootstrap.trials import imported_model
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings

UPLOAD_SECONDS_MIN = 60.0


def upload_limits(settings: Settings) -> UploadLimits:
    """Return what uploads may take. ConfigurationError for a setting that does not fit."""
    for name in ("uploads_max", "upload_trials_max"):
        if getattr(settings, name) < 1:
            raise ConfigurationError(f"HOTSWAP_{name.upper()} is {getattr(settings, name)}; at least 1 is needed")
    if settings.upload_seconds_max < UPLOAD_SECONDS_MIN:
        raise ConfigurationError(
            f"HOTSWAP_UPLOAD_SECONDS_MAX is {settings.upload_seconds_max:g}; at least {UPLOAD_SECONDS_MIN:g} are needed"
        )
    return UploadLimits(
        file_bytes_max=settings.artifact_bytes_max,
        uploads_max=settings.uploads_max,
        uploads_bytes_max=settings.uploads_bytes_max,
        unfinished_seconds_max=settings.upload_seconds_max,
        trials_max=settings.upload_trials_max,
    )


@asynccontextmanager
async def open_uploads(settings: Settings, store: ArtifactStore) -> AsyncIterator[Uploads]:
    """Take uploads into a folder of the home, one for each environment, and keep it clean meanwhile.

    Raises:
        ConfigurationError: A setting does not fit.
    """
    from hotswap_stream.adapters.artifacts.uploads import FolderUploads

    limits = upload_limits(settings)
    folder = FolderUploads(settings.home / "uploads" / topics(settings).prefix, limits)
    uploads = Uploads(folder, _Import(settings, store), limits)
    cleaning = asyncio.create_task(uploads.keep_clean(), name="uploads-clean")
    try:
        yield uploads
    finally:
        cleaning.cancel()
        with suppress(asyncio.CancelledError):
            await cleaning


class _Import:
    """`ModelImport` into this environment's store."""

    def __init__(self, settings: Settings, store: ArtifactStore) -> None:
        self._settings = settings
        self._store = store

    async def __call__(self, file: Path, beside: Mapping[str, Path], options: ModelOptions) -> ImportedArtifact:
        """See ModelImport."""
        from hotswap_stream.adapters.onnx.names import GRAPH_FILE

        if not beside and options == ModelOptions():
            content = await asyncio.to_thread(_packed_set, file)
            if content is not None:
                return _imported(await self._store.put_artifact(content), read_manifest(content), None)
        check_names([GRAPH_FILE, *beside])
        if GRAPH_FILE in beside:
            raise ArtifactFormatError(
                f"a file beside the graph may not be named {GRAPH_FILE!r}, as the graph itself is"
            )
        content, passed = await imported_model(self._settings, file, beside, options)
        return _imported(await self._store.put_artifact(content), read_manifest(content), passed)


def _imported(facts: ArtifactFacts, manifest: ArtifactManifest, passed: TrialPassed | None) -> ImportedArtifact:
    return ImportedArtifact(
        artifact_digest=facts.digest,
        size_bytes=facts.size_bytes,
        kind=manifest.kind,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        trial=None if passed is None else passed.facts,
        warnings=() if passed is None else passed.warnings,
    )


def _packed_set(file: Path) -> bytes | None:
    """Return the bytes of a validation set that was packed by whoever sends it; None for any other file.

    Its arrays are looked at where it is measured on, in a process of its own.

    Raises:
        ArtifactFormatError: Its manifest is none of a set.
    """
    size_bytes = file.stat().st_size
    with file.open("rb") as opened:
        try:
            manifest = read_manifest(opened.read(HEADER_BYTES_MAX + 8), size_bytes)
        except ArtifactFormatError:
            return None
    if manifest.kind != "dataset":
        return None
    try:
        set_facts(manifest)
    except ValidationSetError as error:
        raise ArtifactFormatError(str(error)) from error
    return file.read_bytes()
