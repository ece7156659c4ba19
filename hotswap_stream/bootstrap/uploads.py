"""Uploads of models, and what is made of them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from hotswap_stream.application.artifacts.bundle import check_names
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, ArtifactFormatError, read_manifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions
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
        # There is room for one that is as large as any may be.
        uploads_bytes_max=max(settings.uploads_bytes_max, settings.artifact_bytes_max),
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

        check_names([GRAPH_FILE, *beside])
        if GRAPH_FILE in beside:
            raise ArtifactFormatError(
                f"a file beside the graph may not be named {GRAPH_FILE!r}, as the graph itself is"
            )
        if await asyncio.to_thread(_is_set, file):
            if beside or options != ModelOptions():
                raise ArtifactFormatError("the file is a validation set: no files and no options of a model go with it")
            content, passed = await asyncio.to_thread(file.read_bytes), None
        else:
            content, passed = await imported_model(self._settings, file, beside, options)
        manifest = read_manifest(content)
        facts = await self._store.put_artifact(content)
        return ImportedArtifact(
            artifact_digest=facts.digest,
            size_bytes=facts.size_bytes,
            kind=manifest.kind,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            trial=None if passed is None else passed.facts,
            warnings=() if passed is None else passed.warnings,
        )


def _is_set(file: Path) -> bool:
    """Return whether a file is a validation set, which is uploaded as models are. ArtifactFormatError for a wrong one.

    What is wrong with other files is said where they are imported.
    """
    size_bytes = file.stat().st_size
    with file.open("rb") as opened:
        try:
            manifest = read_manifest(opened.read(HEADER_BYTES_MAX + 8), size_bytes)
        except ArtifactFormatError:
            return False
    if manifest.kind != "dataset":
        return False
    try:
        set_facts(manifest)
    except ValidationSetError as error:
        raise ArtifactFormatError(str(error)) from error
    return True
