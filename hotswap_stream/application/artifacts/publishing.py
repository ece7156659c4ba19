"""The port through which a model that was made elsewhere gets into the store and the registry."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.errors import HotswapError

Progress = Callable[[int, int], None]
"""Called with the bytes that are sent, and all there are."""


class RegistrationRefusedError(HotswapError):
    """The registry does not take the version; the message says why."""


class StoredModel(Struct, frozen=True, kw_only=True):
    """A model that passed its trial and is in the store."""

    artifact_digest: str
    warnings: tuple[str, ...] = ()


class Registration(Struct, frozen=True, kw_only=True):
    """What the registry is told of a model in the store."""

    model_name: str
    model_version: str | None
    """None: the next one."""
    artifact_digest: str
    metrics: dict[str, float]
    tags: dict[str, str]
    environment: dict[str, str]
    options: VersionOptions = PLAIN
    code_revision: str | None = None
    data_snapshot: str | None = None
    run_id: str | None = None
    reason: str | None = None
    command_id: str | None = None


class VersionStanding(Struct, frozen=True, kw_only=True):
    """How far a version came."""

    stage: str
    verdict: str | None = None


class PublishTarget(Protocol):
    """Where models are published."""

    async def store_model(
        self, file: Path, beside: Mapping[str, Path], options: ModelOptions, progress: Progress | None
    ) -> StoredModel:
        """Try a model, and put it into the store. HotswapError where it cannot be served."""
        ...

    async def register(self, registration: Registration) -> str:
        """Register what is in the store; return the version's name. HotswapError where it is refused."""
        ...

    async def standing(self, model_name: str, model_version: str) -> VersionStanding:
        """Return how far a version came."""
        ...
