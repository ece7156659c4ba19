"""The versions of one model in one worker's memory: which are loaded, which one serves, and the swap between them.

`fetch → verify → load → warm up` happen ahead and off the hot path. `activate` is one reference assignment, made as
soon as the promotion is folded and the version is loaded; an inference that began keeps the version it began with.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog
from msgspec import Struct

from hotswap_events.fleet import FleetVersion
from hotswap_stream.application.registry_fold import Stream
from hotswap_stream.application.serving import ModelLoader, ServingModel
from hotswap_stream.domain.state import ModelState, VersionState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

LOAD_RETRIES_MAX = 3
RETRY_SECONDS = 1.0


class Serving(Struct, frozen=True):
    """What answers right now, and the registry offset of the event that chose it."""

    model_version: str
    artifact_digest: str
    registry_offset: int
    model: ServingModel


class LoadFailure(Struct, frozen=True):
    """A version that this worker could not load."""

    model_version: str
    artifact_digest: str
    error: str


class _Slot:
    def __init__(self, version: VersionState) -> None:
        self.model_version = version.model_version
        self.digest = version.artifact.digest
        self.size_bytes = version.artifact.size_bytes
        self.model: ServingModel | None = None
        self.error: str | None = None
        self.users = 0


class VersionSlots:
    """Call `update` with the model's stream whenever it changed; use `serving` for each batch; `stop` at the end.

    `memory_bytes_max` bounds the artifacts held beside the active one; `versions_max` their number.
    """

    def __init__(
        self,
        loader: ModelLoader,
        *,
        on_change: Callable[[], None],
        on_active_failed: Callable[[LoadFailure], None],
        memory_bytes_max: int,
        versions_max: int = 4,
    ) -> None:
        self.serving: Serving | None = None
        self._loader = loader
        self._on_change = on_change
        self._on_active_failed = on_active_failed
        self._memory_bytes_max = memory_bytes_max
        self._versions_max = versions_max
        self._slots: dict[str, _Slot] = {}
        self._wanted: list[VersionState] = []
        self._active: tuple[str, int] | None = None
        self._failed_at_offset: dict[str, int] = {}
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begin loading in the background."""
        self._task = asyncio.create_task(self._load_wanted(), name="version-loader")

    async def stop(self) -> None:
        """Stop loading and give all memory back. No inference may be running."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.serving = None
        for slot in self._slots.values():
            _close(slot)
        self._slots.clear()

    async def wait_decided(self) -> None:
        """Return when a version serves, or when it is clear that none can: then `failure` says why."""
        await self._ready.wait()

    @property
    def failure(self) -> str | None:
        """Why no version serves although one is active; None while one serves or is being loaded."""
        if self.serving is not None or self._active is None:
            return None
        slot = self._slots[self._active[0]]
        return None if slot.error is None else f"version {slot.model_version!r} cannot be loaded: {slot.error}"

    def states(self) -> dict[str, FleetVersion]:
        """State of each version held or tried, for the fleet topic."""
        states: dict[str, FleetVersion] = {}
        for name, slot in self._slots.items():
            if slot.error is not None:
                states[name] = FleetVersion(state="failed", artifact_digest=slot.digest, error=slot.error)
            elif self.serving is not None and self.serving.model is slot.model and slot.model is not None:
                states[name] = FleetVersion(state="serving", artifact_digest=slot.digest)
            else:
                loaded = slot.model is not None
                states[name] = FleetVersion(state="loaded" if loaded else "loading", artifact_digest=slot.digest)
        return states

    def update(self, stream: Stream) -> None:
        """Take in the model's state: activate what is promoted and loaded, and load what is likely to be next."""
        state = stream.state
        active = state.active
        if active is None:
            self._active = None
        else:
            self._active = (active.model_version, stream.active_offset)
        self._wanted = self._likely(state)
        for version in self._wanted:
            self._slots.setdefault(version.model_version, _Slot(version))
        self._retry_if_promoted_again()
        self._activate()
        self._unload_unwanted()
        self._work.set()
        self._on_change()

    def begin(self) -> Serving | None:
        """The version to answer with; pair with `end`, so that it is not unloaded under the inference."""
        serving = self.serving
        if serving is not None:
            self._slots[serving.model_version].users += 1
        return serving

    def end(self, serving: Serving) -> None:
        """The inference is over."""
        slot = self._slots.get(serving.model_version)
        if slot is None:
            return
        slot.users -= 1
        if slot.users == 0 and all(version.model_version != slot.model_version for version in self._wanted):
            self._unload(slot.model_version)

    def _likely(self, state: ModelState) -> list[VersionState]:
        """Active, former, staging, then the newest not yet promoted: in that order, within the budget."""
        ordered: dict[str, VersionState] = {}
        active = state.active
        if active is not None:
            ordered[active.model_version] = active
        former = state.former_version
        if former is not None:
            ordered[former] = state.versions[former]
        newest = list(reversed(state.versions.values()))
        for stage in ("staging", "none"):
            ordered.update({version.model_version: version for version in newest if version.stage == stage})
        budget = self._memory_bytes_max
        likely: list[VersionState] = []
        for version in ordered.values():
            is_active = version is active
            if not is_active:
                if len(likely) >= self._versions_max or version.artifact.size_bytes > budget:
                    continue
                budget -= version.artifact.size_bytes
            likely.append(version)
        return likely

    def _retry_if_promoted_again(self) -> None:
        """A load that failed ahead of the promotion is tried once more when the promotion comes."""
        if self._active is None:
            return
        name, offset = self._active
        slot = self._slots[name]
        if slot.error is not None and self._failed_at_offset.get(name, -1) < offset:
            slot.error = None
            if self.serving is None:
                self._ready.clear()

    def _activate(self) -> None:
        if self._active is None:
            self.serving = None
            self._ready.clear()
            return
        name, offset = self._active
        slot = self._slots[name]
        if slot.model is None:
            return
        former = self.serving
        if former is not None and former.model is slot.model and former.registry_offset == offset:
            return
        self.serving = Serving(name, slot.digest, offset, slot.model)
        self._ready.set()
        _log.info(
            "version_activated",
            model_version=name,
            registry_offset=offset,
            former_version=None if former is None else former.model_version,
        )

    def _unload(self, name: str) -> None:
        slot = self._slots[name]
        if slot.users or (self.serving is not None and self.serving.model_version == name):
            return
        del self._slots[name]
        _close(slot)

    async def _load_wanted(self) -> None:
        while True:
            slot = self._next_to_load()
            if slot is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._load(slot)

    def _next_to_load(self) -> _Slot | None:
        for version in self._wanted:
            slot = self._slots[version.model_version]
            if slot.model is None and slot.error is None:
                return slot
        return None

    async def _load(self, slot: _Slot) -> None:
        self._on_change()
        try:
            model = await self._load_retrying(slot)
        except HotswapError as error:
            self._load_failed(slot, str(error))
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; the old one must go on
            self._load_failed(slot, f"{type(error).__name__}: {error}")
        else:
            if self._slots.get(slot.model_version) is not slot:
                model.close()
                return
            slot.model = model
            _log.info("version_loaded", model_version=slot.model_version, artifact_digest=slot.digest)
            self._activate()
            self._unload_unwanted()
        self._on_change()

    def _unload_unwanted(self) -> None:
        wanted = {version.model_version for version in self._wanted}
        for name in [name for name in self._slots if name not in wanted]:
            self._unload(name)

    async def _load_retrying(self, slot: _Slot) -> ServingModel:
        for _attempt in range(LOAD_RETRIES_MAX):
            try:
                return await self._loader.load(slot.digest)
            except HotswapError as error:
                if not error.retriable:
                    raise
                _log.warning("version_load_retried", model_version=slot.model_version, error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        return await self._loader.load(slot.digest)

    def _load_failed(self, slot: _Slot, error: str) -> None:
        slot.error = error
        _log.error("version_load_failed", model_version=slot.model_version, error=error)
        if self._active is not None and self._active[0] == slot.model_version:
            self._failed_at_offset[slot.model_version] = self._active[1]
            self._ready.set()
            self._on_active_failed(LoadFailure(slot.model_version, slot.digest, error))


def _close(slot: _Slot) -> None:
    model, slot.model = slot.model, None
    if model is not None:
        model.close()
