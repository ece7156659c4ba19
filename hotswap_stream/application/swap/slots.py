"""The versions of one model in one worker's memory: which are loaded, which one serves, and the swap between them.

`fetch → verify → load → warm up` happen ahead and off the hot path. `activate` is one reference assignment, made as
soon as the event that chooses a version is folded and the version is loaded; an inference that began keeps the version
it began with. What serves is what the route says: the active version, or the one that stands in for it.

All methods belong to the event loop that called `start`, but for `lease`, `lease_version` and `release`: any thread.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import structlog

from hotswap_events.fleet import FleetVersion
from hotswap_events.windows import WindowRule
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.swap.loader import ModelLoader
from hotswap_stream.application.swap.plan import HoldLimits, versions_to_hold
from hotswap_stream.application.swap.slot import Lease as Lease
from hotswap_stream.application.swap.slot import LoadFailure as LoadFailure
from hotswap_stream.application.swap.slot import RefusedRoute, Slot, VersionRequest, load_retrying, why_refused
from hotswap_stream.application.windows.rule import joint_rule
from hotswap_stream.domain.serving.request_plan import RequestPlan, request_plan
from hotswap_stream.domain.serving.route import Route
from hotswap_stream.domain.state.model import ModelState, VersionState
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

REQUEST_RETRY_SECONDS = 30.0
"""A version that failed to load is tried again for a request that names it after this long, no sooner."""


class VersionSlots:
    """Call `update` with the model's stream whenever it changed; `lease` and `release` around each batch; `stop` at the
    end. `memory_bytes_max` and `versions_max`: see `HoldLimits`.
    """

    def __init__(
        self,
        loader: ModelLoader,
        *,
        on_change: Callable[[], None],
        on_active_failed: Callable[[LoadFailure], None],
        memory_bytes_max: int,
        versions_max: int = 4,
        requested_versions_max: int = 4,
    ) -> None:
        self.current: Lease | None = None
        self.refused: RefusedRoute | None = None
        """Set while the route lets no version answer although one is active."""
        self.route: Route | None = None
        """Of the requests that the active version should answer, as of the last `update`."""
        self.window_rule: WindowRule | None = None
        """What to take into windows for the versions held here; another object only when it is another rule."""
        self._plan_of_requests: RequestPlan | None = None
        self._loader = loader
        self._on_change = on_change
        self._on_active_failed = on_active_failed
        self._limits = HoldLimits(
            memory_bytes_max=memory_bytes_max,
            versions_max=versions_max,
            requested_versions_max=requested_versions_max,
        )
        self._lock = Lock()
        """Guards `current`, `_slots`, `_held`, `_requested` and the slots' `users` against `lease` and `release`."""
        self._slots: dict[str, Slot] = {}
        self._state: ModelState | None = None
        self._wanted: list[VersionState] = []
        self._held: frozenset[str] = frozenset()
        """Names of `_wanted`."""
        self._requested: dict[str, None] = {}
        """Versions that requests asked for by name, the longest unused first."""
        self._route_offset = self._stream_offset = -1
        self._failed_at_offset: dict[str, int] = {}
        self._work = asyncio.Event()
        self.tasks = WatchedTasks("the loading of versions")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()

    def start(self) -> None:
        """Begin loading in the background."""
        self._loop = asyncio.get_running_loop()
        self.tasks.start(self._load_wanted(), name="version-loader")

    async def stop(self) -> None:
        """Stop loading and give all memory back. No inference may be running."""
        await self.tasks.stop()
        with self._lock:
            self.current = None
            self._held = frozenset()
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            slot.close()

    async def wait_decided(self) -> None:
        """Return when a version serves, or when it is clear that none can or may: then `failure` says why."""
        await self._ready.wait()

    @property
    def failure(self) -> str | None:
        """Why no version serves although one is active; None while one serves or is being loaded."""
        if self.current is not None or self.route is None:
            return None
        if self.refused is not None:
            return self.refused.reason
        slot = None if self.route.answered_by is None else self._slots[self.route.answered_by]
        if slot is None or slot.error is None:
            return None
        return f"version {slot.model_version!r} cannot be loaded: {slot.error}"

    def states(self) -> dict[str, FleetVersion]:
        """State of each version held or tried, for the fleet topic."""
        states: dict[str, FleetVersion] = {}
        for name, slot in self._slots.items():
            if slot.error is not None:
                states[name] = FleetVersion(state="failed", artifact_digest=slot.digest, error=slot.error)
            elif self.current is not None and self.current.model is slot.model and slot.model is not None:
                states[name] = FleetVersion(state="serving", artifact_digest=slot.digest)
            else:
                loaded = slot.model is not None
                states[name] = FleetVersion(state="loaded" if loaded else "loading", artifact_digest=slot.digest)
        return states

    def update(self, stream: Stream) -> None:
        """Take in the model's state: activate what is chosen and loaded, and load what is likely to be next."""
        self._state = stream.state
        self._plan_of_requests = request_plan(stream.state)
        self.route = self._plan_of_requests.routes[0]
        self._route_offset, self._stream_offset = stream.route_offset, stream.offset
        self._plan()
        self._retry_if_chosen_again()
        self._activate()
        self._unload_unwanted()
        self._work.set()
        self._on_change()

    def lease(self) -> Lease | None:
        """Lease the version to answer with, so that it is not unloaded under the inference. Any thread.

        Returns:
            The lease, to be handed to `release`; None while no version may answer.
        """
        with self._lock:
            lease = self.current
            if lease is not None:
                self._slots[lease.model_version].users += 1
            return lease

    def lease_version(self, model_version: str) -> Lease | None:
        """Lease this very version: for a request that names it, or a probe. Any thread.

        Returns:
            The lease, to be handed to `release`; None if the version is not loaded, or archived. Its
            `registry_offset` is the route's if the route has a part for the version, else that of the last of the
            model's events that was read.
        """
        with self._lock:
            slot = self._slots.get(model_version)
            if slot is None or slot.model is None or model_version not in self._held:
                return None
            slot.users += 1
            if model_version in self._requested:
                self._requested[model_version] = self._requested.pop(model_version)
            chosen = self.route is not None and model_version in (self.route.answered_by, self.route.probed)
            offset = self._route_offset if chosen else self._stream_offset
            return Lease(model_version, slot.digest, offset, slot.model)

    def lease_other(self, model_version: str, fits: Callable[[ArtifactManifest], bool]) -> Lease | None:
        """Lease a loaded version other than this one, whose manifest fits, the current one first. Any thread.

        Returns:
            The lease, to be handed to `release`; None if there is no such version.
        """
        with self._lock:
            serves = None if self.current is None else self.current.model_version
            for name in sorted(self._slots, key=lambda name: name != serves):
                slot = self._slots[name]
                if name == model_version or slot.model is None or name not in self._held:
                    continue
                if fits(slot.model.manifest):
                    slot.users += 1
                    return Lease(name, slot.digest, self._stream_offset, slot.model)
            return None

    def release(self, lease: Lease) -> None:
        """The inference is over. Any thread."""
        with self._lock:
            slot = self._slots.get(lease.model_version)
            if slot is None:
                return
            slot.users -= 1
            unload = slot.users == 0 and slot.model_version not in self._held
        if unload and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nothing is held any more
                self._loop.call_soon_threadsafe(self._unload_unwanted)

    async def request_version(self, model_version: str) -> VersionRequest:
        """Load a version that a request names, if there is room, and wait for it. Of such versions those unused the
        longest make room for others."""
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
        self._unload_unwanted()
        slot = self._slots.get(model_version)
        if slot is None or model_version not in self._held:
            return VersionRequest(
                "no-room",
                f"version {model_version!r} has {version.artifact.size_bytes:,} bytes; the versions that are needed "
                f"more leave no room for it in {self._limits.memory_bytes_max:,} bytes",
            )
        if slot.error is not None and time.monotonic() - slot.failed_at_s > REQUEST_RETRY_SECONDS:
            slot.forget_failure()
        self._work.set()
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
            self._held = frozenset(version.model_version for version in self._wanted)
            for version in self._wanted:
                self._slots.setdefault(version.model_version, Slot(version))

    def _retry_if_chosen_again(self) -> None:
        """A load that failed ahead is tried once more when an event chooses the version."""
        name = None if self.route is None else self.route.answered_by
        if name is None:
            return
        slot = self._slots[name]
        if slot.error is not None and self._failed_at_offset.get(name, -1) < self._route_offset:
            slot.forget_failure()
            if self.current is None:
                self._ready.clear()

    def _activate(self) -> None:
        chosen, offset = self.route, self._route_offset
        if chosen is None or chosen.answered_by is None:
            self._refuse(chosen)
            return
        self.refused = None
        slot = self._slots[chosen.answered_by]
        former = self.current
        if slot.model is None:
            if former is None and slot.error is None:
                self._ready.clear()
            return
        if former is not None and former.model is slot.model and former.registry_offset == offset:
            return
        plan = self._plan_of_requests
        if plan is not None and plan.plain:
            plan = None
        with self._lock:
            self.current = Lease(slot.model_version, slot.digest, offset, slot.model, chosen.fallback_for, plan)
        self._ready.set()
        self._refresh_window_rule()
        _log.info(
            "version_activated",
            model_version=slot.model_version,
            registry_offset=offset,
            former_version=None if former is None else former.model_version,
            fallback_for=chosen.fallback_for,
        )

    def _refresh_window_rule(self) -> None:
        serving = None if self.current is None else self.current.model.manifest
        models = [slot.model for slot in self._slots.values()]
        rule = joint_rule(serving, [model.manifest for model in models if model is not None])
        if rule != self.window_rule:
            self.window_rule = rule

    def _refuse(self, chosen: Route | None) -> None:
        with self._lock:
            self.current = None
        because = None if chosen is None else chosen.refused_because
        if self._state is None or because is None or because == "no-active-version":
            self.refused = None
            self._ready.clear()
            return
        self.refused = RefusedRoute(because, why_refused(self._state, because), self._route_offset)
        self._ready.set()

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
        self._on_change()
        try:
            model = await load_retrying(self._loader, slot)
        except HotswapError as error:
            self._load_failed(slot, str(error))
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; the old one must go on
            self._load_failed(slot, f"{type(error).__name__}: {error}")
        else:
            if self._slots.get(slot.model_version) is not slot:
                model.close()
                return
            slot.loaded(model)
            self._refresh_window_rule()
            _log.info("version_loaded", model_version=slot.model_version, artifact_digest=slot.digest)
            self._activate()
            self._unload_unwanted()
        self._on_change()

    def _unload_unwanted(self) -> None:
        unloaded: list[Slot] = []
        with self._lock:
            for name, slot in list(self._slots.items()):
                serves = self.current is not None and self.current.model_version == name
                if name not in self._held and slot.users == 0 and not serves:
                    unloaded.append(self._slots.pop(name))
        for slot in unloaded:
            slot.close()

    def _load_failed(self, slot: Slot, error: str) -> None:
        slot.failed(error)
        _log.error("version_load_failed", model_version=slot.model_version, error=error)
        if self.route is not None and self.route.answered_by == slot.model_version:
            self._failed_at_offset[slot.model_version] = self._route_offset
            self._ready.set()
        if self._state is not None and self._state.active_version == slot.model_version:
            self._on_active_failed(LoadFailure(slot.model_version, slot.digest, error))
