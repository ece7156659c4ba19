"""What a worker holds of one version, and what it says of it to those who answer requests."""

import asyncio
import time
from typing import Literal

import structlog
from msgspec import Struct

from hotswap_stream.application.swap.loader import LoadedModel, ModelLoader
from hotswap_stream.domain.serving.request_plan import RequestPlan
from hotswap_stream.domain.serving.route import RefusedBecause
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

LOAD_RETRIES_MAX = 3
RETRY_SECONDS = 1.0


class Lease(Struct, frozen=True):
    """A loaded version that stays in memory until the lease is released, and the registry offset of the event that
    chose it."""

    model_version: str
    artifact_digest: str
    registry_offset: int
    model: LoadedModel
    fallback_for: str | None = None
    """The active version, while this one answers in its place."""
    plan: RequestPlan | None = None
    """Where else requests go at this registry offset; None: this version answers all that name none."""


class RefusedRoute(Struct, frozen=True):
    """Why no version may answer, by the registry event at this offset."""

    because: RefusedBecause
    """Doubles as the error code of the answer."""
    reason: str
    registry_offset: int


class LoadFailure(Struct, frozen=True):
    """A version that this worker could not load."""

    model_version: str
    artifact_digest: str
    error: str


class VersionRequest(Struct, frozen=True):
    """What came of asking for a version by name."""

    outcome: Literal["loaded", "failed", "unknown", "archived", "no-room"]
    reason: str | None = None
    """What is wrong, unless it is loaded."""


class Slot:
    """One version in memory, or on its way there."""

    def __init__(self, version: VersionState) -> None:
        self.model_version = version.model_version
        self.digest = version.artifact.digest
        self.model: LoadedModel | None = None
        self.error: str | None = None
        self.failed_at_s = 0.0
        """Monotonic."""
        self.users = 0
        """Inferences that run on it."""
        self.settled = asyncio.Event()
        """Loaded, failed, or given up."""

    def loaded(self, model: LoadedModel) -> None:
        """It can answer."""
        self.model = model
        self.settled.set()

    def failed(self, error: str) -> None:
        """It cannot be loaded."""
        self.error, self.failed_at_s = error, time.monotonic()
        self.settled.set()

    def forget_failure(self) -> None:
        """It may be tried again."""
        self.error = None
        self.settled.clear()

    def close(self) -> None:
        """Give the memory back."""
        self.settled.set()
        model, self.model = self.model, None
        if model is not None:
            model.close()


async def load_retrying(loader: ModelLoader, slot: Slot) -> LoadedModel:
    """The slot's version, loaded; what may heal is tried again. The loader's errors."""
    for _attempt in range(LOAD_RETRIES_MAX):
        try:
            return await loader.load(slot.digest)
        except HotswapError as error:
            if not error.retriable:
                raise
            _log.warning("version_load_retried", model_version=slot.model_version, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
    return await loader.load(slot.digest)


def why_refused(state: ModelState, because: RefusedBecause) -> str:
    """The reason for people."""
    if because == "model-disabled":
        why = state.serving.disabled_reason
        return f"model {state.model_name!r} is disabled{f': {why}' if why else ''}"
    return f"the circuit of version {state.active_version!r} is not closed, and nothing can answer in its place"
