"""The loader of a worker: each kind of artifact goes to what computes it, imported when the first comes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from hotswap_events.version_options import F32, PLAIN, VersionOptions
from hotswap_stream.adapters.models.reading import Content, read_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Kind, Package
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.audit.reproduce import ExactModel
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError, PluginKind
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.domain.versions.options import wrong_options_for
from hotswap_stream.errors import HotswapError


class NotServedError(HotswapError):
    """This kind of artifact is no version, whoever registered it as one."""


class ContentLoader(Protocol):
    """Loads artifacts of one kind from their bytes."""

    async def load_content(
        self,
        manifest: ArtifactManifest,
        content: Content,
        options: VersionOptions = PLAIN,
        digest: str | None = None,
    ) -> LoadedModel:
        """Load; HotswapError with the reason if it cannot serve.

        Args:
            manifest: Of the artifact.
            content: Its bytes.
            options: How it is computed.
            digest: Its digest in the store, for what is done aside; None: nothing is.
        """
        ...

    async def load_content_exactly(
        self, manifest: ArtifactManifest, content: Content, executor: str, precision: str = F32
    ) -> ExactModel:
        """Load for this executor and precision, or not at all."""
        ...

    def close(self) -> None:
        """End what goes on in the background."""
        ...


class LoaderByKind:
    """`ModelLoader` and `ExactLoader` over an artifact store."""

    def __init__(
        self,
        store: ArtifactStore,
        makers: Mapping[Kind, Callable[[], ContentLoader]],
        *,
        check: Callable[[str, ArtifactManifest, VersionOptions], Awaitable[object]] | None = None,
    ) -> None:
        """Make a loader.

        Args:
            store: Where artifacts are.
            makers: Kind → what makes its loader. ModuleNotFoundError from it: something is not installed here.
            check: Called with digest, manifest and options before an artifact is loaded; what it raises keeps it from
                that.
        """
        self._store = store
        self._makers = makers
        self._check = check
        self._loaders: dict[Kind, ContentLoader] = {}

    async def load(self, digest: str, options: VersionOptions = PLAIN) -> LoadedModel:
        """See ModelLoader. MissingPluginError where what computes it is not installed."""
        manifest, content = await read_artifact(self._store, digest)
        if wrong := wrong_options_for(manifest.kind, options):
            raise NotServedError(wrong)
        if self._check is not None:
            await self._check(digest, manifest, options)
        try:
            return await (await self._of(manifest)).load_content(manifest, content, options, digest)
        except MissingPluginError as error:
            raise error.of(manifest.package) from error

    async def load_exactly(self, digest: str, executor: str, precision: str = F32) -> ExactModel:
        """See ExactLoader. MissingPluginError where what computes it is not installed."""
        manifest, content = await read_artifact(self._store, digest)
        try:
            return await (await self._of(manifest)).load_content_exactly(manifest, content, executor, precision)
        except MissingPluginError as error:
            raise error.of(manifest.package) from error

    def close(self) -> None:
        """See ModelLoader."""
        for loader in self._loaders.values():
            loader.close()

    async def _of(self, manifest: ArtifactManifest) -> ContentLoader:
        loader = self._loaders.get(manifest.kind)
        if loader is None:
            if manifest.kind not in self._makers:
                raise NotServedError(f"artifacts of kind {manifest.kind!r} compute nothing, so they cannot be served")
            try:
                # In a thread: importing torch takes a second or two, and others are being answered.
                made = await asyncio.to_thread(self._makers[manifest.kind])
            except ModuleNotFoundError as error:
                raise _not_installed(manifest, error.name or str(error)) from error
            loader = self._loaders.setdefault(manifest.kind, made)
        return loader


def _not_installed(manifest: ArtifactManifest, module: str) -> MissingPluginError:
    kind: PluginKind = "runtime" if manifest.kind == "runtime" else "architecture"
    return MissingPluginError(
        MissingPlugin(kind=kind, name=manifest.what, package=Package(name=module.partition(".")[0])),
        f"artifacts of kind {manifest.kind!r} need {module}, which is not installed here",
    )
