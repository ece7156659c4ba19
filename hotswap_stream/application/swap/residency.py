"""Residency: which versions of one model lie in one worker's memory.

Versions are fetched, verified, loaded and warmed up ahead and off the hot path, the most needed first; what is no
longer needed is unloaded as soon as no lease holds it. Which of them answers is decided elsewhere (`activation`).

All methods belong to the event loop that called `start`, but those that say "any thread".
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Literal, Protocol

import structlog
from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.loader import ModelLoader
from hotswap_stream.application.swap.plan import HoldLimits, versions_to_hold
from hotswap_stream.application.swap.slot import Slot, load_retrying
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

REQUEST_RETRY_SECONDS = 30.0
"""A version that failed to load is tried again for a request that names it after this long, no sooner."""


class VersionRequest(Struct, frozen=True):
    """What came of asking for a version by name."""

    outcome: Literal["loaded", "failed", "unknown", "archived", "no-room"]
    reason: str | None = None
    """What is wrong, unless it is loaded."""


class LoadListener(Protocol):
    """What is told of each load."""

    def load_began(self) -> None:
        """Take in that a version begins to load."""
        ...

    def load_ended(self, slot: Slot) -> None:
        """Take in that a version is loaded, or failed: then `slot.error` says why."""
        ...


class Residency:
    """Slots of the versions that are wanted, and what loads and unloads them."""

    def __init__(self, loader: ModelLoader, limits: HoldLimits, listener: LoadListener) -> None:
        self.tasks = WatchedTasks("the loading of versions")
        self._loader = loader
        self._limits = limits
        self._listener = listener
        self._lock = Lock()
        """Guards `_slots`, `_wanted_names`, `_requested` and the slots' `users` against other threads."""
        self._slots: dict[str, Slot] = {}
        self._state: ModelState | None = None
        self._wanted: list[VersionState] = []
        self._wanted_names: frozenset[str] = frozenset()
        self._requested: dict[str, None] = {}
        """Versions that requests asked for by name, the longest unused first."""
        self._work = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin loading in the background."""
        self._loop = asyncio.get_running_loop()
        self.tasks.start(self._load_wanted(), name="version-loader")

    async def stop_loading(self) -> None:
        """Stop what goes on in the background; what is loaded stays."""
        await self.tasks.stop()

    def unload_all(self) -> None:
        """Give all memory back. No inference may be running."""
        with self._lock:
            self._wanted_names = frozenset()
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            slot.close()

    @property
    def slots(self) -> list[Slot]:
        """The slots of all versions held or tried."""
        return list(self._slots.values())

    def slot(self, model_version: str) -> Slot:
        """Return the slot of a version that is wanted.

        Raises:
            KeyError: It is not wanted.
        """
        return self._slots[model_version]

    def want(self, state: ModelState) -> None:
        """Plan anew which versions are wanted, as of this state. `unload_unwanted` and `load_missing` carry it out."""
        self._state = state
        self._plan()

    def load_missing(self) -> None:
        """Have what is wanted and not yet there loaded in the background."""
        self._work.set()

    def unload_unwanted(self) -> None:
        """Unload the versions that are no longer wanted and that no lease holds."""
        unloaded: list[Slot] = []
        with self._lock:
            for name, slot in list(self._slots.items()):
                if name not in self._wanted_names and slot.users == 0:
                    unloaded.append(self._slots.pop(name))
        for slot in unloaded:
            slot.close()

    def lease(self, model_version: str, registry_offset: int) -> Lease | None:
        """Lease a version that is loaded and wanted. Any thread.

        Args:
            model_version: The version; it counts as used, if requests asked for it by name.
            registry_offset: What the lease says of the event that chose the version.

        Returns:
            The lease, to be handed to `release`; None if the version is not loaded or not wanted.
        """
        with self._lock:
            slot = self._slots.get(model_version)
            if slot is None or slot.model is None or model_version not in self._wanted_names:
                return None
            slot.users += 1
            if model_version in self._requested:
                self._requested[model_version] = self._requested.pop(model_version)
            return Lease(model_version, slot.digest, registry_offset, slot.model, precision=slot.precision)

    def lease_other(
        self, model_version: str, fits: Callable[[ArtifactManifest], bool], *, first: str | None, registry_offset: int
    ) -> Lease | None:
        """Lease a loaded version other than this one, whose manifest fits. Any thread.

        Args:
            model_version: The version that it must not be.
            fits: Whether a version with this manifest will do.
            first: The version to be tried before all others.
            registry_offset: What the lease says of the event that chose the version.

        Returns:
            The lease, to be handed to `release`; None if there is no such version.
        """
        with self._lock:
            for name in sorted(self._slots, key=lambda name: name != first):
                slot = self._slots[name]
                if name == model_version or slot.model is None or name not in self._wanted_names:
                    continue
                if fits(slot.model.manifest):
                    slot.users += 1
                    return Lease(name, slot.digest, registry_offset, slot.model, precision=slot.precision)
            return None

    def share(self, lease: Lease) -> bool:
        """Begin another use of what is leased: it must be released once more. Any thread.

        Returns:
            Whether the model was still in memory: the lease may have been released meanwhile. If not, nothing began.
        """
        with self._lock:
            slot = self._slots.get(lease.model_version)
            if slot is None or slot.model is not lease.model:
                return False
            slot.users += 1
            return True

    def release(self, lease: Lease) -> None:
        """End a use of what is leased; the last one lets a version go that is no longer wanted. Any thread."""
        with self._lock:
            slot = self._slots.get(lease.model_version)
            if slot is None:
                return
            slot.users -= 1
            unload = slot.users == 0 and slot.model_version not in self._wanted_names
        if unload and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nothing is held any more
                self._loop.call_soon_threadsafe(self.unload_unwanted)

    async def request_version(self, model_version: str) -> VersionRequest:
        """Load a version that a request names, if there is room, and wait for it.

        At most `requested_versions_max` such versions are held; those unused the longest make room for others.
        """
        version = None if self._state is None else self._state.versions.get(model_version)
        if version is None:
            return VersionRequest("unknown", f"there is no version {model_version!r}")
        if version.stage == "archived":
            return VersionRequest("archived", f"version {model_version!r} is archived")
        with self._lock:
            self._requested.pop(model_version, None)
            self._requested[model_version] = None
            while len(self._requested) > self._limits.requested_versions_max:
                del self._requested[next(iter(self._requested))]
        self._plan()
        self.unload_unwanted()
        slot = self._slots.get(model_version)
        if slot is None or model_version not in self._wanted_names:
            return VersionRequest(
                "no-room",
                f"version {model_version!r} has {version.artifact.size_bytes:,} bytes; the versions that are needed "
                f"more leave no room for it in {self._limits.memory_bytes_max:,} bytes",
            )
        if slot.error is not None and time.monotonic() - slot.failed_at_s > REQUEST_RETRY_SECONDS:
            slot.forget_failure()
        self.load_missing()
        await slot.settled.wait()
        if slot.model is not None:
            return VersionRequest("loaded")
        if slot.error is not None:
            return VersionRequest("failed", f"version {model_version!r} cannot be loaded: {slot.error}")
        return VersionRequest("no-room", f"version {model_version!r} had to make room before it was loaded")

    def _plan(self) -> None:
        if self._state is None:
            return
        self._wanted = versions_to_hold(self._state, reversed(self._requested), self._limits)
        with self._lock:
            self._wanted_names = frozenset(version.model_version for version in self._wanted)
            for version in self._wanted:
                self._slots.setdefault(version.model_version, Slot(version))

    async def _load_wanted(self) -> None:
        while True:
            slot = self._next_to_load()
            if slot is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._load(slot)

    def _next_to_load(self) -> Slot | None:
        for version in self._wanted:
            slot = self._slots[version.model_version]
            if slot.model is None and slot.error is None:
                return slot
        return None

    async def _load(self, slot: Slot) -> None:
        self._listener.load_began()
        try:
            model = await load_retrying(self._loader, slot)
        except HotswapError as error:
            missing = error.missing if isinstance(error, MissingPluginError) else None
            self._load_failed(slot, str(error), missing)
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; the old one must go on
            self._load_failed(slot, f"{type(error).__name__}: {error}")
        else:
            if self._slots.get(slot.model_version) is not slot:
                model.close()
                return
            slot.loaded(model)
            _log.info("version_loaded", model_version=slot.model_version, artifact_digest=slot.digest)
        self._listener.load_ended(slot)

    def _load_failed(self, slot: Slot, error: str, missing: MissingPlugin | None = None) -> None:
        slot.failed(error, missing)
        _log.error("version_load_failed", model_version=slot.model_version, error=error)
