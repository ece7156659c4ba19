"""The versions of one model in one worker's memory: which are loaded, which one answers, and the swap between them.

All methods belong to the event loop that called `start`, but for the leases and `release`: any thread.
"""

from collections.abc import Callable

from hotswap_events.inference.fleet import FleetVersion
from hotswap_events.inference.windows import WindowRule
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.swap.activation import Activation, RefusedRoute
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.loader import ModelLoader
from hotswap_stream.application.swap.plan import HoldLimits
from hotswap_stream.application.swap.residency import Residency, VersionRequest
from hotswap_stream.application.swap.slot import LoadFailure, Slot
from hotswap_stream.application.windows.rule import joint_rule
from hotswap_stream.domain.serving.route import Route


class VersionSlots:
    """Residency and activation of one model's versions, joined.

    Call `update` with the model's stream whenever it changed; take a lease and `release` it around each batch; `stop`
    at the end. `on_change` is called when the state of a version may have changed, `on_active_failed` when the active
    version could not be loaded. The limits are those of `HoldLimits`.
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
        self.window_rule: WindowRule | None = None
        """What to take into windows for the versions held here; another object only when it is another rule."""
        self._on_change = on_change
        self._on_active_failed = on_active_failed
        limits = HoldLimits(
            memory_bytes_max=memory_bytes_max,
            versions_max=versions_max,
            requested_versions_max=requested_versions_max,
        )
        self._residency = Residency(loader, limits, self)
        self._activation = Activation(self._residency)
        self._active_version: str | None = None

    def start(self) -> None:
        """Begin loading in the background."""
        self._residency.start()

    async def stop(self) -> None:
        """Stop loading and give all memory back. No inference may be running."""
        await self._residency.stop_loading()
        self._activation.stop()
        self._residency.unload_all()

    @property
    def tasks(self) -> WatchedTasks:
        """What loads versions in the background."""
        return self._residency.tasks

    @property
    def current(self) -> Lease | None:
        """The version that answers requests which name none; None while no version may or can."""
        return self._activation.current

    @property
    def refused(self) -> RefusedRoute | None:
        """Set while the route lets no version answer although one is active."""
        return self._activation.refused

    @property
    def route(self) -> Route | None:
        """The route of the requests that the active version should answer, as of the last `update`."""
        return self._activation.route

    @property
    def failure(self) -> str | None:
        """Why no version answers although one is active; None while one answers or is being loaded."""
        return self._activation.failure

    async def wait_decided(self) -> None:
        """Return when a version answers, or when it is clear that none can or may: then `failure` says why."""
        await self._activation.wait_decided()

    async def wait_settled(self) -> None:
        """Return when what the registry chooses to answer, as far as it was read, is not being loaded any more."""
        await self._activation.wait_settled()

    def states(self) -> dict[str, FleetVersion]:
        """Return the state of each version held or tried, for the fleet topic."""
        current = self.current
        return {
            slot.model_version: slot.fleet_version(serves=current is not None and current.model is slot.model)
            for slot in self._residency.slots
        }

    def update(self, stream: Stream) -> None:
        """Take in the model's state: activate what is chosen and loaded, and load what is likely to be next."""
        self._active_version = stream.state.active_version
        self._activation.follow(stream)
        self._residency.want(stream.state)
        self._activation.retry_if_chosen_again()
        self._activate()
        self._residency.load_missing()
        self._on_change()

    def lease(self) -> Lease | None:
        """Lease the version to answer with, so that it is not unloaded under the inference. Any thread.

        Returns:
            The lease, to be handed to `release`; None while no version may answer.
        """
        return self._activation.lease()

    def lease_version(self, model_version: str) -> Lease | None:
        """Lease this very version: for a request that names it, or a probe. Any thread.

        Returns:
            The lease, to be handed to `release`; None if the version is not loaded, or archived. Its
            `registry_offset` is the route's if the route has a part for the version, else that of the last of the
            model's events that was read.
        """
        return self._residency.lease(model_version, self._activation.offset_of(model_version))

    def lease_other(self, model_version: str, fits: Callable[[ArtifactManifest], bool]) -> Lease | None:
        """Lease a loaded version other than this one, whose manifest fits, the current one first. Any thread.

        Returns:
            The lease, to be handed to `release`; None if there is no such version.
        """
        current = self.current
        return self._residency.lease_other(
            model_version,
            fits,
            first=None if current is None else current.model_version,
            registry_offset=self._activation.stream_offset,
        )

    def release(self, lease: Lease) -> None:
        """End an inference. Any thread."""
        self._residency.release(lease)

    async def request_version(self, model_version: str) -> VersionRequest:
        """Load a version that a request names, if there is room, and wait for it."""
        return await self._residency.request_version(model_version)

    def load_began(self) -> None:
        """Tell that a version loads."""
        self._on_change()

    def load_ended(self, slot: Slot) -> None:
        """Let a loaded version answer if it is chosen; tell of the active one if it failed."""
        if slot.error is None:
            self._refresh_window_rule()
            self._activate()
        else:
            self._activation.load_failed(slot)
            if self._active_version == slot.model_version:
                self._on_active_failed(LoadFailure(slot.model_version, slot.digest, slot.error))
        self._on_change()

    def _activate(self) -> None:
        if self._activation.activate():
            self._refresh_window_rule()
        self._residency.unload_unwanted()

    def _refresh_window_rule(self) -> None:
        current = None if self.current is None else self.current.model.manifest
        models = [slot.model for slot in self._residency.slots]
        rule = joint_rule(current, [model.manifest for model in models if model is not None])
        if rule != self.window_rule:
            self.window_rule = rule
