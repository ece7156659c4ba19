"""Version slots that follow a log, over a loader that loads at once unless it is told otherwise."""

import asyncio
from collections.abc import Callable
from typing import Any

from hotswap_events.registry.events import RegistryEvent
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.serving.control import (
    CircuitHalfOpened,
    CircuitOpened,
)
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.registry.fold import RegistryFold, Stream
from hotswap_stream.application.swap.slot import LoadFailure
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.errors import HotswapError
from tests.support.samples.registry import LogBuilder, artifact_of, promoted, trained

OPENED = CircuitOpened(model_version="v2", cause="operator")
OPENED = CircuitOpened(model_version="v2", cause="operator")
HALF_OPENED = CircuitHalfOpened(model_version="v2")
SIZE = artifact_of("v1").size_bytes
TWO_VERSIONS = (trained("v1"), promoted("v1", forced=True), trained("v2"), promoted("v2", "v1", forced=True))


class Model:
    manifest = ArtifactManifest(architecture="linear", inputs=(), outputs=(), warm_up={})

    executor = "none"

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed = closed

    def padded_rows(self, rows: int) -> int:
        return rows

    def infer(self, inputs: Any) -> Any:
        return inputs

    def close(self) -> None:
        self._closed()


class Loader:
    """Loads at once, unless a version is held back or broken."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.held_back: dict[str, asyncio.Event] = {}
        self.loaded: list[str] = []
        self.options: list[VersionOptions] = []
        self.graphs: list[str | None] = []
        self.in_memory: set[str] = set()

    async def load(self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None) -> Model:
        name = next(name for name in ("v1", "v2", "v3", "v4", "v5") if artifact_of(name).digest == digest)
        if name in self.held_back:
            await self.held_back[name].wait()
        self.loaded.append(name)
        self.options.append(options)
        self.graphs.append(graph_digest)
        if name in self.broken:
            raise HotswapError(f"{name} is broken")
        self.in_memory.add(name)
        return Model(lambda: self.in_memory.discard(name))

    def close(self) -> None:
        raise AssertionError("slots do not own their loader")


class Stage:
    """Slots that follow a log."""

    def __init__(
        self, *, memory_bytes_max: int = 100 * SIZE, versions_max: int = 4, requested_versions_max: int = 4
    ) -> None:
        self.loader = Loader()
        self.failures: list[LoadFailure] = []
        self.slots = VersionSlots(
            self.loader,
            on_change=lambda: None,
            on_active_failed=self.failures.append,
            memory_bytes_max=memory_bytes_max,
            versions_max=versions_max,
            requested_versions_max=requested_versions_max,
        )
        self.slots.start()
        self._log = LogBuilder()
        self._fold = RegistryFold()

    @property
    def stream(self) -> Stream:
        return self._fold.streams["digits"]

    async def append(self, *events: RegistryEvent) -> None:
        """Append, tell the slots, and let all that can load load."""
        for event in events:
            self._log.append(event)
            self._fold.apply(self._log.records[-1])
            self.slots.update(self.stream)
        await self.settle()

    async def settle(self) -> None:
        for _turn in range(50):
            await asyncio.sleep(0)

    def serving(self) -> tuple[str, str | None, int] | None:
        lease = self.slots.current
        return None if lease is None else (lease.model_version, lease.fallback_for, lease.registry_offset)
