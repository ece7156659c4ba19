"""Activation: which of the loaded versions answers requests that name none, and the swap from one to the next.

The swap is one reference assignment, made as soon as the event that chooses a version is folded and the version is
loaded; an inference that began keeps the version it began with. What answers is what the route says: the active
version, or the one that stands in for it.

All methods belong to one event loop, but for `lease`: any thread.
"""

import asyncio

import structlog
from msgspec import Struct

from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.residency import Residency
from hotswap_stream.application.swap.slot import Slot
from hotswap_stream.domain.serving.request_plan import RequestPlan, request_plan
from hotswap_stream.domain.serving.route import RefusedBecause, Route
from hotswap_stream.domain.state.model import ModelState

_log = structlog.get_logger(__name__)


class RefusedRoute(Struct, frozen=True):
    """Why no version may answer, by the registry event at this offset."""

    because: RefusedBecause
    """Doubles as the error code of the answer."""
    reason: str
    registry_offset: int


class Activation:
    """The version that answers, and its route.

    Call `follow` with the model's stream whenever it changed; then, and whenever a version was loaded, `activate`.
    """

    def __init__(self, residency: Residency) -> None:
        self.current: Lease | None = None
        """The lease of the version that answers: it keeps that version in memory."""
        self.refused: RefusedRoute | None = None
        """Set while the route lets no version answer although one is active."""
        self.route: Route | None = None
        """The route of the requests that the active version should answer, as of the last `follow`."""
        self._residency = residency
        self._state: ModelState | None = None
        self._request_plan: RequestPlan | None = None
        self._route_offset = self._stream_offset = -1
        self._failed_at_offset: dict[str, int] = {}
        """Version → the route's offset at which it should have answered and could not be loaded."""
        self._decided = asyncio.Event()
        self._settled = asyncio.Event()

    async def wait_settled(self) -> None:
        """Return when what the route chooses is not being loaded any more: what answers is as new as it can be."""
        await self._settled.wait()

    async def wait_decided(self) -> None:
        """Return when a version answers, or when it is clear that none can or may: then `failure` says why."""
        await self._decided.wait()

    @property
    def failure(self) -> str | None:
        """Why no version answers although one is active; None while one answers or is being loaded."""
        if self.current is not None or self.route is None:
            return None
        if self.refused is not None:
            return self.refused.reason
        slot = None if self.route.answered_by is None else self._residency.slot(self.route.answered_by)
        if slot is None or slot.error is None:
            return None
        return f"version {slot.model_version!r} cannot be loaded: {slot.error}"

    @property
    def stream_offset(self) -> int:
        """Offset of the last of the model's events that was followed."""
        return self._stream_offset

    def offset_of(self, model_version: str) -> int:
        """Return the registry offset that an answer of this version names.

        It is the route's if the version has a part in the route, else that of the last of the model's events.
        """
        chosen = self.route is not None and model_version in (self.route.answered_by, self.route.probed)
        return self._route_offset if chosen else self._stream_offset

    def follow(self, stream: Stream) -> None:
        """Take in what the model's events say about who answers."""
        self._state = stream.state
        self._request_plan = request_plan(stream.state)
        self.route = self._request_plan.routes[0]
        self._route_offset, self._stream_offset = stream.route_offset, stream.offset

    def retry_if_chosen_again(self) -> None:
        """Have a version tried once more whose load failed before an event chose it."""
        name = None if self.route is None else self.route.answered_by
        if name is None:
            return
        slot = self._residency.slot(name)
        if slot.error is not None and self._failed_at_offset.get(name, -1) < self._route_offset:
            slot.forget_failure()
            if self.current is None:
                self._decided.clear()

    def activate(self) -> bool:
        """Let the version answer that the route chooses, if it is loaded; until then the former one goes on.

        Returns:
            Whether another lease is current now.
        """
        chosen, offset = self.route, self._route_offset
        if chosen is None or chosen.answered_by is None:
            self._refuse(chosen)
            self._settled.set()
            return False
        self.refused = None
        slot = self._residency.slot(chosen.answered_by)
        former = self.current
        if slot.model is None and slot.error is None:
            self._settled.clear()
            if former is None:
                self._decided.clear()
            return False
        self._settled.set()
        if slot.model is None:
            return False
        if former is not None and former.model is slot.model and former.registry_offset == offset:
            return False
        plan = self._request_plan
        if plan is not None and plan.plain:
            plan = None
        self._swap(
            Lease(slot.model_version, slot.digest, offset, slot.model, chosen.fallback_for, plan, slot.precision)
        )
        self._decided.set()
        _log.info(
            "version_activated",
            model_version=slot.model_version,
            registry_offset=offset,
            former_version=None if former is None else former.model_version,
            fallback_for=chosen.fallback_for,
        )
        return True

    def load_failed(self, slot: Slot) -> None:
        """Take in that a version cannot be loaded."""
        if self.route is not None and self.route.answered_by == slot.model_version:
            self._failed_at_offset[slot.model_version] = self._route_offset
            self._decided.set()
            self._settled.set()

    def lease(self) -> Lease | None:
        """Lease the version that answers. Any thread.

        Returns:
            The lease, to be handed to the residency's `release`; None while no version may answer.
        """
        while (lease := self.current) is not None:
            if self._residency.share(lease):
                return lease
            # It was swapped away and unloaded since the line before: another one is current now.
        return None

    def stop(self) -> None:
        """Let no version answer any more: all are unloaded next."""
        self.current = None

    def _swap(self, lease: Lease | None) -> None:
        """Replace what is current: the swap itself is the assignment."""
        if lease is not None:
            self._residency.share(lease)
        former, self.current = self.current, lease
        if former is not None:
            self._residency.release(former)

    def _refuse(self, chosen: Route | None) -> None:
        self._swap(None)
        because = None if chosen is None else chosen.refused_because
        if self._state is None or because is None or because == "no-active-version":
            self.refused = None
            self._decided.clear()
            return
        self.refused = RefusedRoute(because, why_refused(self._state, because), self._route_offset)
        self._decided.set()


def why_refused(state: ModelState, because: RefusedBecause) -> str:
    """Return the reason for people."""
    if because == "model-disabled":
        why = state.serving.disabled_reason
        return f"model {state.model_name!r} is disabled{f': {why}' if why else ''}"
    return f"the circuit of version {state.active_version!r} is not closed, and nothing can answer in its place"
