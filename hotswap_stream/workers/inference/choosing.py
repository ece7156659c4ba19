"""Which version answers which request of a batch."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError

from hotswap_stream.application.version_slots import Serving, VersionSlots
from hotswap_stream.workers.inference.batches import Batch, Refused, group_requests
from hotswap_stream.workers.inference.request_ids import RequestIds
from hotswap_stream.workers.inference.requests import Request, Unreadable

PINNED_WAIT_SECONDS_MAX = 0.05
"""A partition waits so long for a version that a request names; one that has to be loaded first takes longer."""
PINNED_ASK_AGAIN_SECONDS = 0.5
"""A named version that is not there is asked for again after so long, not for each request."""
_PINNED_REMEMBERED_MAX = 1_000

Indexed = tuple[int, Request]


class VersionChooser:
    """Makes batches out of requests. Used by the thread of one model's loop; `loop` is the one of `slots`."""

    def __init__(self, model_name: str, slots: VersionSlots, ids: RequestIds, loop: asyncio.AbstractEventLoop) -> None:
        self._model_name = model_name
        self._slots = slots
        self._ids = ids
        self._loop = loop
        self._unavailable: dict[str, tuple[float, Refused]] = {}

    def make_batch(self, entries: list[Request | Unreadable]) -> Batch:
        """The batch, with a hold on each version in it: `release` it when it was answered."""
        refused: dict[int, Refused] = {}
        plain: list[Indexed] = []
        pinned: dict[str, list[Indexed]] = {}
        for index, entry in enumerate(entries):
            if isinstance(entry, Unreadable):
                continue
            why = self._why_not(entry)
            if why is not None:
                refused[index] = why
            elif entry.headers is None or entry.headers.model_version is None:
                plain.append((index, entry))
            else:
                pinned.setdefault(entry.headers.model_version, []).append((index, entry))
        batch = Batch(entries, [], refused, [])
        if plain:
            self._add(batch, self._slots.begin() or self._why_none(), plain)
        for model_version, requests in pinned.items():
            self._add(batch, self._pinned(model_version), requests)
        return batch

    def release(self, batch: Batch) -> None:
        """The batch is answered, or dropped."""
        servings, batch.servings = batch.servings, []
        for serving in servings:
            self._slots.end(serving)

    def _add(self, batch: Batch, chosen: Serving | Refused, requests: Sequence[Indexed]) -> None:
        if isinstance(chosen, Refused):
            batch.refused.update(dict.fromkeys((index for index, _ in requests), chosen))
            return
        batch.servings.append(chosen)
        batch.groups.extend(group_requests(chosen, requests, batch.refused))

    def _why_not(self, request: Request) -> Refused | None:
        headers, record = request.headers, request.record
        if headers is not None:
            if headers.model_name is not None and headers.model_name != self._model_name:
                return Refused(
                    "unknown-model",
                    f"the request is for model {headers.model_name!r}; this topic is served by {self._model_name!r}",
                )
            if headers.deadline_ms is not None and (late_ms := int(time.time() * 1000) - headers.deadline_ms) > 0:
                return Refused("deadline-expired", f"the deadline passed {late_ms} ms before the request's turn came")
        request_id = request.body.id
        if request_id and not (headers is not None and headers.repeated_id_allowed):
            earlier = self._ids.first_offset(record.partition, record.offset, request_id)
            if earlier is not None:
                return Refused(
                    "duplicate-id",
                    f"id {request_id!r} is that of the request at offset {earlier} of this partition; give each "
                    "request its own, or none",
                )
        return None

    def _why_none(self) -> Refused:
        refused = self._slots.refused
        if refused is not None:
            return Refused(refused.because, refused.reason)
        reason = self._slots.failure or f"model {self._model_name!r} has no active version; promote one"
        return Refused("no-active-version", reason)

    def _pinned(self, model_version: str) -> Serving | Refused:
        refused = self._slots.refused
        if refused is not None and refused.because == "model-disabled":
            return Refused(refused.because, refused.reason)
        serving = self._slots.begin_version(model_version)
        if serving is not None:
            return serving
        now = time.monotonic()
        remembered = self._unavailable.get(model_version)
        if remembered is not None and now - remembered[0] < PINNED_ASK_AGAIN_SECONDS:
            return remembered[1]
        found = self._ask_for(model_version)
        if isinstance(found, Refused):
            if len(self._unavailable) >= _PINNED_REMEMBERED_MAX:
                self._unavailable.clear()
            self._unavailable[model_version] = now, found
        return found

    def _ask_for(self, model_version: str) -> Serving | Refused:
        asked = asyncio.run_coroutine_threadsafe(self._slots.request_version(model_version), self._loop)
        try:
            answer = asked.result(PINNED_WAIT_SECONDS_MAX)
        except FutureTimeoutError:
            # The load goes on, so that a later request finds the version.
            return Refused("version-unavailable", f"version {model_version!r} is being loaded; ask again in a moment")
        if answer.outcome == "loaded" and (serving := self._slots.begin_version(model_version)) is not None:
            return serving
        code = "unknown-version" if answer.outcome == "unknown" else "version-unavailable"
        return Refused(code, answer.reason or f"version {model_version!r} is not loaded")  # type: ignore[arg-type]
