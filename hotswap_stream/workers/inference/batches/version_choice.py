"""Which version answers which request of a batch."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError

from msgspec.structs import replace

from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.domain.rollouts.routing import arms_of, routing_key_of
from hotswap_stream.domain.rollouts.traffic import Traffic
from hotswap_stream.domain.serving.route import Route
from hotswap_stream.workers.inference.batches.batches import Batch, RefusedRequest
from hotswap_stream.workers.inference.batches.grouping import group_requests
from hotswap_stream.workers.inference.batches.window_groups import group_windows
from hotswap_stream.workers.inference.requests.ids import RequestIds
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.windows.steps import Taken, WindowSteps

PINNED_WAIT_SECONDS_MAX = 0.05
"""How long a partition waits for a version that a request names; one that has to be loaded first takes longer."""
PINNED_ASK_AGAIN_SECONDS = 0.5
"""A named version that is not there is asked for again after this time, not for each request."""
_PINNED_REMEMBERED_MAX = 1_000

Indexed = tuple[int, Request]


class VersionChooser:
    """Make batches out of requests. Used by the thread of one model's loop; `loop` is the one of `slots`."""

    def __init__(
        self,
        model_name: str,
        worker: str,
        slots: VersionSlots,
        guard: CircuitGuard,
        ids: RequestIds,
        loop: asyncio.AbstractEventLoop,
        reply_topics: ReplyTopics,
    ) -> None:
        self._model_name = model_name
        self._worker = worker
        self._slots = slots
        self._guard = guard
        self._ids = ids
        self._loop = loop
        self._reply_topics = reply_topics
        self._unavailable: dict[str, tuple[float, RefusedRequest]] = {}

    def make_batch(self, entries: list[Request | Unreadable], taken: list[WindowSteps] | None = None) -> Batch:
        """Choose who answers which request.

        Args:
            entries: Requests, and what stands for those that cannot be read, in the order of their records.
            taken: What each entry brought for a window, where windows are kept.

        Returns:
            The batch, with a lease of each version in it: `release` it when it was answered.
        """
        refused: dict[int, RefusedRequest] = {}
        plain: list[Indexed] = []
        pinned: dict[str, list[Indexed]] = {}
        remember = self._ids.remember
        for index, entry in enumerate(entries):
            if isinstance(entry, Unreadable):
                continue
            if taken is None and entry.headers is None:  # most requests: nothing is asked for
                request_id, record = entry.body.id, entry.record
                if not request_id or remember(record.partition, record.offset, request_id) is None:
                    plain.append((index, entry))
                    continue
            why = self._why_not(entry, None if taken is None else taken[index])
            if why is not None:
                refused[index] = why
            elif entry.headers is None or entry.headers.model_version is None:
                plain.append((index, entry))
            else:
                pinned.setdefault(entry.headers.model_version, []).append((index, entry))
        batch = Batch(entries, [], refused, [], taken)
        try:
            if plain:
                self._route(batch, plain)
            for model_version, requests in pinned.items():
                self._add(batch, self._pinned(model_version), requests, pinned=True)
        except Exception:
            self.release(batch)
            raise
        return batch

    def release(self, batch: Batch) -> None:
        """Give back the leases of a batch that was answered, or dropped."""
        leases, batch.leases = batch.leases, []
        for lease in leases:
            self._slots.release(lease)

    def _route(self, batch: Batch, requests: Sequence[Indexed]) -> None:
        """Let requests that name no version be answered by the active one, or split them over the arms of a rollout."""
        lease = self._slots.lease()
        if lease is None:
            route, why = self._slots.route, self._why_none()
            if route is None or route.probed is None:
                self._add(batch, why, requests)
            else:
                self._answer_arm(batch, route, route.probed, None, requests)
            return
        plan = lease.plan
        if plan is None:
            self._add(batch, lease, requests)
            return
        batch.leases.append(lease)
        for arm, of_arm in enumerate(self._by_arm(plan.split, requests)):
            if of_arm:
                version = plan.split.arms[arm].model_version
                self._answer_arm(batch, plan.routes[arm], version, lease, of_arm)

    def _by_arm(self, split: Traffic, requests: Sequence[Indexed]) -> list[list[Indexed]]:
        if len(split.arms) == 1:
            return [list(requests)]
        keys = [routing_key(request) for _, request in requests]
        by_arm: list[list[Indexed]] = [[] for _ in split.arms]
        for item, arm in zip(requests, arms_of(keys, split.salt, split.weights_on(self._worker)), strict=True):
            by_arm[arm].append(item)
        return by_arm

    def _answer_arm(
        self, batch: Batch, route: Route, version: str, active: Lease | None, requests: Sequence[Indexed]
    ) -> None:
        """Let `version` answer requests; while its circuit is not closed its stand-in does, but for probes."""
        picked = self._guard.pick_probes(len(requests), version) if route.probed is not None else ()
        if picked:
            probed = self._slots.lease_version(version)
            if probed is None:
                self._guard.probes_lost(len(picked), version)
                picked = ()
            else:
                offset = probed.registry_offset if active is None else active.registry_offset
                probes = [requests[position] for position in picked]
                self._add(batch, replace(probed, registry_offset=offset), probes, probes=True)
                others = set(range(len(requests))) - set(picked)
                requests = [requests[position] for position in sorted(others)]
        if not requests:
            return
        if route.answered_by is None or active is None:
            reason = f"the circuit of version {version!r} is not closed, and nothing can answer in its place"
            self._add(batch, self._why_none() if active is None else RefusedRequest("circuit-open", reason), requests)
            return
        if route.answered_by == active.model_version:
            self._add(batch, replace(active, fallback_for=route.fallback_for), requests, leased=True)
            return
        lease = self._slots.lease_version(route.answered_by)
        if lease is None:
            # Not loaded here yet: the active version answers for it, as it would for a broken one.
            self._add(batch, replace(active, fallback_for=version), requests, leased=True)
            return
        chosen = replace(lease, registry_offset=active.registry_offset, fallback_for=route.fallback_for)
        self._add(batch, chosen, requests)

    def _add(
        self,
        batch: Batch,
        chosen: Lease | RefusedRequest,
        requests: Sequence[Indexed],
        *,
        leased: bool = False,
        probes: bool = False,
        pinned: bool = False,
    ) -> None:
        if isinstance(chosen, RefusedRequest):
            batch.refused.update(dict.fromkeys((index for index, _ in requests), chosen))
            return
        if not leased:
            batch.leases.append(chosen)
        if chosen.model.manifest.window is None:
            groups = group_requests(chosen, requests, batch.refused, probes=probes, pinned=pinned)
        else:
            groups = group_windows(chosen, requests, batch, probes=probes, pinned=pinned)
        if probes:
            lost = len(requests) - sum(len(group.requests) for group in groups)
            if lost:
                # Requests that no model could answer say nothing of this one.
                self._guard.probes_lost(lost, chosen.model_version)
        batch.groups.extend(groups)

    def _why_not(self, request: Request, taken: WindowSteps) -> RefusedRequest | None:
        headers, record = request.headers, request.record
        if headers is not None:
            if headers.model_name is not None and headers.model_name != self._model_name:
                return RefusedRequest(
                    "unknown-model",
                    f"the request is for model {headers.model_name!r}; this topic is served by {self._model_name!r}",
                )
            if headers.deadline_ms is not None and (late_ms := int(time.time() * 1000) - headers.deadline_ms) > 0:
                return RefusedRequest(
                    "deadline-expired", f"the deadline passed {late_ms} ms before the request's turn came"
                )
            if headers.reply_topic is not None and (why := self._reply_topics.refusal(headers.reply_topic)):
                # Whoever asks waits there and would wait in vain: this way a dead letter says why.
                return RefusedRequest("request-unreadable", why)
        request_id = request.body.id
        if request_id and not (headers is not None and headers.repeated_id_allowed):
            if isinstance(taken, Taken):
                earlier = taken.duplicate_of  # so that whatever is refused as a copy brought nothing, and the reverse
            else:
                earlier = self._ids.remember(record.partition, record.offset, request_id)
            if earlier is not None:
                return RefusedRequest(
                    "duplicate-id",
                    f"id {request_id!r} is that of the request at offset {earlier} of this partition; give each "
                    "request its own, or none",
                )
        return None

    def _why_none(self) -> RefusedRequest:
        refused = self._slots.refused
        if refused is not None:
            return RefusedRequest(refused.because, refused.reason)
        reason = self._slots.failure or f"model {self._model_name!r} has no active version; promote one"
        return RefusedRequest("no-active-version", reason)

    def _pinned(self, model_version: str) -> Lease | RefusedRequest:
        refused = self._slots.refused
        if refused is not None and refused.because == "model-disabled":
            return RefusedRequest(refused.because, refused.reason)
        lease = self._slots.lease_version(model_version)
        if lease is not None:
            return lease
        now = time.monotonic()
        remembered = self._unavailable.get(model_version)
        if remembered is not None and now - remembered[0] < PINNED_ASK_AGAIN_SECONDS:
            return remembered[1]
        found = self._ask_for(model_version)
        if isinstance(found, RefusedRequest):
            if len(self._unavailable) >= _PINNED_REMEMBERED_MAX:
                self._unavailable.clear()
            self._unavailable[model_version] = now, found
        return found

    def _ask_for(self, model_version: str) -> Lease | RefusedRequest:
        asked = asyncio.run_coroutine_threadsafe(self._slots.request_version(model_version), self._loop)
        try:
            answer = asked.result(PINNED_WAIT_SECONDS_MAX)
        except FutureTimeoutError:
            # The load goes on, so that a later request finds the version.
            return RefusedRequest(
                "version-unavailable", f"version {model_version!r} is being loaded; ask again in a moment"
            )
        if answer.outcome == "loaded" and (lease := self._slots.lease_version(model_version)) is not None:
            return lease
        code = "unknown-version" if answer.outcome == "unknown" else "version-unavailable"
        return RefusedRequest(code, answer.reason or f"version {model_version!r} is not loaded")  # type: ignore[arg-type]


def routing_key(request: Request) -> bytes:
    """Return what a rollout splits this request by."""
    headers, record = request.headers, request.record
    key = None if headers is None or headers.routing_key is None else headers.routing_key.encode()
    return routing_key_of(key, request.body.id, record.partition, record.offset)
