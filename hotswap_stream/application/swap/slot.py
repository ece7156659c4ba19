"""A slot: one version of a model in a worker's memory, or on its way there."""

import asyncio
import time

import structlog
from msgspec import Struct

from hotswap_events.inference.fleet import FleetPlugin, FleetVersion
from hotswap_events.registry.version_options import F32
from hotswap_stream.application.plugins.names import MissingPlugin
from hotswap_stream.application.swap.loader import LoadedModel, ModelLoader
from hotswap_stream.domain.state.model import VersionState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

LOAD_RETRIES_MAX = 3
RETRY_SECONDS = 1.0


class LoadFailure(Struct, frozen=True):
    """A version that this worker could not load."""

    model_version: str
    artifact_digest: str
    error: str


class Slot:
    """One version in memory, or on its way there."""

    def __init__(self, version: VersionState) -> None:
        self.model_version = version.model_version
        self.digest = version.artifact.digest
        self.graph_digest = None if version.graph is None else version.graph.digest
        self.options = version.options
        self.precision = None if version.options.precision == F32 else version.options.precision
        """What answers say of it."""
        self.model: LoadedModel | None = None
        self.error: str | None = None
        self.missing: MissingPlugin | None = None
        """What is not installed here, where loading failed for it."""
        self.failed_at_s = 0.0
        """Monotonic."""
        self.users = 0
        """Leases of it that are not released yet."""
        self.settled = asyncio.Event()
        """Set when it is loaded, when it failed, and when it is given up."""

    def loaded(self, model: LoadedModel) -> None:
        """Take in the loaded model: the version can answer."""
        self.model = model
        self.settled.set()

    def failed(self, error: str, missing: MissingPlugin | None = None) -> None:
        """Take in why the version cannot be loaded."""
        self.error, self.failed_at_s, self.missing = error, time.monotonic(), missing
        self.settled.set()

    def forget_failure(self) -> None:
        """Let the version be tried again."""
        self.error = self.missing = None
        self.settled.clear()

    def close(self) -> None:
        """Give the memory back."""
        self.settled.set()
        model, self.model = self.model, None
        if model is not None:
            model.close()

    def fleet_version(self, *, serves: bool) -> FleetVersion:
        """Return the slot's state as the fleet topic tells it. `serves`: requests are answered with this slot."""
        if self.error is not None:
            return FleetVersion(
                state="failed", artifact_digest=self.digest, error=self.error, missing=_told(self.missing)
            )
        if self.model is None:
            return FleetVersion(state="loading", artifact_digest=self.digest)
        return FleetVersion(state="serving" if serves else "loaded", artifact_digest=self.digest)


def _told(missing: MissingPlugin | None) -> FleetPlugin | None:
    if missing is None:
        return None
    package = missing.package
    return FleetPlugin(
        kind=missing.kind,
        name=missing.name,
        package=None if package is None else package.name,
        version=(package.version or None) if package is not None else None,
    )


async def load_retrying(loader: ModelLoader, slot: Slot) -> LoadedModel:
    """Load the slot's version; where the error may heal, try again at most `LOAD_RETRIES_MAX` times.

    Raises:
        HotswapError: The loader's, when the version cannot be loaded.
    """
    for _attempt in range(LOAD_RETRIES_MAX):
        try:
            return await loader.load(slot.digest, slot.options, graph_digest=slot.graph_digest)
        except HotswapError as error:
            if not error.retriable:
                raise
            _log.warning("version_load_retried", model_version=slot.model_version, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
    return await loader.load(slot.digest, slot.options, graph_digest=slot.graph_digest)
