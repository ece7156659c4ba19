"""The loader of a worker: each kind of artifact goes to what computes it, imported when the first comes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

import structlog

from hotswap_events.registry.version_options import F32, PLAIN, VersionOptions
from hotswap_stream.adapters.models.executor import EXPORTED_GRAPH, ExecutorUnavailableError
from hotswap_stream.adapters.models.graph_first import GraphFirst
from hotswap_stream.adapters.models.reading import Content, read_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Kind, Package
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.audit.reproduce import ExactModel
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError, PluginKind
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.domain.versions.options import executor_of, wrong_options_for
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)


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


class ExportedModel(LoadedModel, ExactModel, Protocol):
    """A version that computes with a graph."""


class ExportedLoader(Protocol):
    """Loads versions of architectures through graphs that were exported of them."""

    async def load_exported(
        self, digest: str, manifest: ArtifactManifest, content: Content, graph_digest: str
    ) -> ExportedModel:
        """Load; HotswapError with the reason if it cannot serve."""
        ...


class LoaderByKind:
    """`ModelLoader` and `ExactLoader` over an artifact store."""

    def __init__(
        self,
        store: ArtifactStore,
        makers: Mapping[Kind, Callable[[], ContentLoader]],
        *,
        check: Callable[[str, ArtifactManifest, VersionOptions], Awaitable[object]] | None = None,
        exported: Callable[[], ExportedLoader] | None = None,
        graph_first: GraphFirst | None = None,
    ) -> None:
        """Make a loader.

        Args:
            store: Where artifacts are.
            makers: Kind → what makes its loader. ModuleNotFoundError from it: something is not installed here.
            check: Called with digest, manifest and options before an artifact is loaded; what it raises keeps it from
                that.
            exported: Makes what loads architectures through their graphs where their code is not installed.
            graph_first: Has graphs answer while what the code needs is imported; None: all wait for that.
        """
        self._store = store
        self._makers = makers
        self._check = check
        self._exported = exported
        self._graph_first = graph_first
        self._loaders: dict[Kind, ContentLoader] = {}

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        """See ModelLoader. MissingPluginError where what computes it is not installed, and no graph can stand in."""
        manifest, content = await read_artifact(self._store, digest)
        if wrong := wrong_options_for(manifest.kind, options):
            raise NotServedError(wrong)
        if self._check is not None:
            await self._check(digest, manifest, options)

        async def by_code() -> LoadedModel:
            return await (await self._of(manifest)).load_content(manifest, content, options, digest)

        graph_first = self._graph_first if manifest.kind == "architecture" and self._exported is not None else None
        try:
            if graph_first is None or graph_digest is None:
                return await by_code()
            by_graph = partial(self._by_graph, digest, manifest, content, graph_digest)
            model = await graph_first.load(manifest, content, options, graph_digest, by_graph=by_graph, by_code=by_code)
            if model is None:
                model = await by_code()
                graph_first.learn_later(digest, content, options, graph_digest)
            return model
        except MissingPluginError as error:
            missing = error.of(manifest.package)
        if graph_digest is None or self._exported is None or manifest.kind != "architecture":
            raise missing
        if (only := executor_of(options)) is not None:
            if missing.missing.kind == "executor":
                raise missing
            raise MissingPluginError(
                missing.missing, f"{missing.why}; and its graph cannot stand in: only {only} may compute this version"
            )
        try:
            model = await self._by_graph(digest, manifest, content, graph_digest)
        except HotswapError as error:
            if error.retriable:
                raise
            raise MissingPluginError(
                missing.missing, f"{missing.why}; and its graph cannot stand in: {error}"
            ) from error
        _log.info("served_by_exported_graph", architecture=manifest.architecture, reason=missing.why)
        return model

    async def load_exactly(
        self, digest: str, executor: str, precision: str = F32, *, graph_digest: str | None = None
    ) -> ExactModel:
        """See ExactLoader. MissingPluginError where what computes it is not installed."""
        manifest, content = await read_artifact(self._store, digest)
        if executor == EXPORTED_GRAPH:
            if graph_digest is None or self._exported is None or manifest.kind != "architecture":
                raise ExecutorUnavailableError("no graph was exported of this version's architecture")
            if precision != F32:
                raise ExecutorUnavailableError(f"executor {executor!r} does not compute with {precision[:20]!r}")
            return await self._by_graph(digest, manifest, content, graph_digest)
        try:
            return await (await self._of(manifest)).load_content_exactly(manifest, content, executor, precision)
        except MissingPluginError as error:
            raise error.of(manifest.package) from error

    def close(self) -> None:
        """See ModelLoader."""
        if self._graph_first is not None:
            self._graph_first.close()
        for loader in self._loaders.values():
            loader.close()

    async def _by_graph(
        self, digest: str, manifest: ArtifactManifest, content: Content, graph_digest: str
    ) -> ExportedModel:
        assert self._exported is not None  # noqa: S101 - asked before
        try:
            loader = self._exported()
        except ModuleNotFoundError as error:
            raise ExecutorUnavailableError(f"graphs need {error.name}, which is not installed here") from error
        return await loader.load_exported(digest, manifest, content, graph_digest)

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
