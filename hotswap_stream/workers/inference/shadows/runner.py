"""Shadows: versions that compute what they would have answered, after the answers and never in their way.

A batch is offered after its answers were handed to Kafka. One thread collects such batches for a moment, so that many
requests share a forward pass, and computes them in small passes, none of which it begins while the hot loop computes.
What it has no time or room for is dropped and counted.
"""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import accumulate

import numpy as np
import structlog
from msgspec import Struct

from hotswap_events.inference.observation import Comparison
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.domain.rollouts.routing import WEIGHT_TOTAL
from hotswap_stream.domain.rollouts.traffic import Traffic, is_shadowed
from hotswap_stream.workers.inference.batches.computed import ComputedBatch, ComputedGroup
from hotswap_stream.workers.inference.batches.version_choice import routing_key
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.observing.tally import Tally
from hotswap_stream.workers.inference.requests.tensors import Array
from hotswap_stream.workers.inference.shadows.compare import Compared, compare, shown

_log = structlog.get_logger(__name__)

ROWS_QUEUED_MAX = 1_024
QUEUED_BYTES_MAX = 32 * 1024**2
"""Inputs and outputs that wait for the shadows. Beyond either, further groups are dropped; one may wait always."""
COLLECT_SECONDS = 0.05
"""How long the first group waits for others. A pass costs as much for one request as for some, and each one may be in
the way of an answer."""
COLLECT_ROWS = 64
"""From this many rows on, nobody waits."""
PASS_ROWS_MAX = 16
"""A forward pass cannot be stopped once the hot loop needs the processor: so it is small."""
PASS_MS_MAX = 4.0
"""A pass that took longer makes the next ones smaller."""
IDLE_WAIT_SECONDS_MAX = 0.2
"""A group that finds no gap between the hot loop's passes in this time is dropped."""


class _Job(Struct, frozen=True, gc=False):
    group: ComputedGroup
    split: Traffic
    size_bytes: int


class _Item(Struct, frozen=True, gc=False):
    """One request for a shadow: rows `start` to `end` of its group."""

    job: _Job
    position: int
    start: int
    end: int


_Shapes = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Names and shapes of a request's tensors, without their rows: those with the same can share a pass."""


class ShadowRunner:
    """Let the shadows of one model compute. `computing` and `offer` belong to the hot loop's thread."""

    def __init__(
        self, model_name: str, worker: str, slots: VersionSlots, observer: Observer, batch_size_max: int
    ) -> None:
        self._model_name = model_name
        self._worker = worker
        self._slots = slots
        self._observer = observer
        self._batch_size_max = batch_size_max
        self._jobs: deque[_Job] = deque()
        # Each counter has one thread that writes it; what is being computed counts as queued.
        self._offered_rows = self._offered_bytes = 0
        self._done_rows = self._done_bytes = 0
        self._work = threading.Event()
        self._enough = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._pass_rows = PASS_ROWS_MAX

    def computing(self) -> None:
        """Hear that the hot loop begins a batch. No shadow begins anything until `offer`."""
        if self._thread is not None:
            self._idle.clear()

    def offer(self, batch: ComputedBatch) -> None:
        """Let the shadows see what they should of a batch that was answered, if there is time and room for it."""
        self._idle.set()
        for group in batch.groups:
            chosen = group.chosen
            plan = chosen.lease.plan
            if plan is None or not plan.split.shadows or chosen.pinned or chosen.probes or group.outputs is None:
                continue
            job = _Job(group, plan.split, _size_bytes(group))
            if len(batch.chosen.entries) >= self._batch_size_max or not self._has_room(job):
                self._skip(plan.split, len(chosen.requests) * plan.split.shadow_share / WEIGHT_TOTAL)
                continue
            self._offered_rows += chosen.row_count
            self._offered_bytes += job.size_bytes
            self._jobs.append(job)
            if self._thread is None:
                name = f"shadow-{self._model_name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            self._work.set()
            if self._offered_rows - self._done_rows >= COLLECT_ROWS:
                self._enough.set()

    def stop(self) -> None:
        """Return when no shadow computes any more. Blocks for one forward pass at most."""
        self._stopping = True
        self._jobs.clear()
        for event in (self._idle, self._enough, self._work):
            event.set()
        if self._thread is not None:
            self._thread.join()

    def _has_room(self, job: _Job) -> bool:
        rows = self._offered_rows - self._done_rows
        size_bytes = self._offered_bytes - self._done_bytes
        return rows == 0 or (
            rows + job.group.chosen.row_count <= ROWS_QUEUED_MAX and size_bytes + job.size_bytes <= QUEUED_BYTES_MAX
        )

    def _skip(self, split: Traffic, requests: float) -> None:
        for shadow in split.shadows:
            self._skip_one(shadow, split.rollout_id, requests)

    def _skip_one(self, shadow: str, rollout_id: str | None, requests: float) -> None:
        def count(tally: Tally) -> None:
            tally.skipped += requests

        self._observer.shadowed(shadow, rollout_id, round(requests), count)

    def _run(self) -> None:
        while not self._stopping:
            self._work.wait()
            self._work.clear()
            while self._jobs and not self._stopping:
                self._enough.wait(COLLECT_SECONDS)
                self._enough.clear()
                jobs = self._waiting()
                try:
                    self._shadow(jobs)
                except Exception:  # noqa: BLE001  # a shadow that fails costs nobody an answer
                    _log.exception("shadow_failed", model_name=self._model_name)
                finally:
                    self._done_rows += sum(job.group.chosen.row_count for job in jobs)
                    self._done_bytes += sum(job.size_bytes for job in jobs)

    def _waiting(self) -> list[_Job]:
        jobs = []
        with suppress(IndexError):  # `stop` may clear them meanwhile
            while self._jobs:
                jobs.append(self._jobs.popleft())
        return jobs

    def _shadow(self, jobs: list[_Job]) -> None:
        waiting: dict[tuple[str, str | None, _Shapes], list[_Item]] = {}
        for job in jobs:
            items = _sampled(job)
            for shadow in job.split.shadows if items else ():
                if shadow != job.group.chosen.lease.model_version:
                    waiting.setdefault((shadow, job.split.rollout_id, _shapes(job.group)), []).extend(items)
        passes = deque((shadow, rollout_id, items) for (shadow, rollout_id, _tensors), items in waiting.items())
        while passes:  # one of each in turn: all shadows get their part of the time, and of the comparisons
            shadow, rollout_id, items = passes.popleft()
            done = self._compute(items, shadow, rollout_id)
            if done < len(items):
                passes.append((shadow, rollout_id, items[done:]))

    def _compute(self, items: list[_Item], shadow: str, rollout_id: str | None) -> int:
        """Make one pass over the first of the requests, in a gap of the hot loop.

        Returns:
            For how many of them nothing more is to be done.
        """
        lease = self._slots.lease_version(shadow) if self._gap() else None
        if lease is None:  # no gap, or not loaded here, or not yet
            self._skip_one(shadow, rollout_id, len(items))
            return len(items)
        try:
            rows = list(accumulate(item.end - item.start for item in items))
            part = items[: max(1, bisect_right(rows, self._pass_rows))] if _has_rows(items[0]) else items[:1]
            self._pass(part, shadow, rollout_id, lease.model)
            return len(part)
        finally:
            self._slots.release(lease)

    def _gap(self) -> bool:
        """Wait until the hot loop does not compute; False if it does all the time, or the worker stops."""
        return self._idle.wait(IDLE_WAIT_SECONDS_MAX) and not self._stopping

    def _pass(self, part: list[_Item], shadow: str, rollout_id: str | None, model: LoadedModel) -> None:
        inputs = _joined(part, [item.job.group.chosen.inputs for item in part])
        began = time.perf_counter()
        try:
            outputs = dict(model.infer(inputs))
            compute_ms = (time.perf_counter() - began) * 1000
            answered = _joined(part, [item.job.group.outputs or {} for item in part])
            found = compare(answered, outputs, has_rows=_has_rows(part[0]))
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; only its shadow fails
            if len(part) > 1:  # each alone, so that one request cannot fail the others
                self._one_by_one(part, shadow, rollout_id, model)
                return
            self._failed(part, shadow, rollout_id, f"{type(error).__name__}: {error}"[:2_000])
            return
        self._pass_rows = max(1, self._pass_rows // 2) if compute_ms > PASS_MS_MAX else self._pass_rows
        self._observer.shadowed(
            shadow, rollout_id, len(part), _counting(found, compute_ms, len(part), has_rows=_has_rows(part[0]))
        )
        self._show(part, shadow, found, compute_ms)

    def _one_by_one(self, part: list[_Item], shadow: str, rollout_id: str | None, model: LoadedModel) -> None:
        for item in part:
            if self._gap():
                self._pass([item], shadow, rollout_id, model)
            else:
                self._skip_one(shadow, rollout_id, 1)

    def _failed(self, part: list[_Item], shadow: str, rollout_id: str | None, error: str) -> None:
        self._observer.shadowed(
            shadow, rollout_id, len(part), lambda tally: tally.add_errors("model-failure", len(part))
        )
        if self._observer.wants_comparison(shadow, agree=False):
            self._observer.compared([self._comparison(part[0], shadow, 0.0, agree=False, shadow_error=error)])

    def _show(self, part: list[_Item], shadow: str, found: Compared, compute_ms: float) -> None:
        comparisons, start = [], 0
        for item in part:
            end = start + item.end - item.start
            agree = bool(found.agree[start:end].all())
            if self._observer.wants_comparison(shadow, agree=agree):
                comparisons.append(
                    self._comparison(
                        item,
                        shadow,
                        compute_ms,
                        agree=agree,
                        primary_outputs=shown(found.primary, start, end, has_rows=_has_rows(item)),
                        shadow_outputs=shown(found.shadow, start, end, has_rows=_has_rows(item)),
                    )
                )
            start = end
        self._observer.compared(comparisons)

    def _comparison(self, item: _Item, shadow: str, compute_ms: float, *, agree: bool, **fields: object) -> Comparison:
        job = item.job
        request = job.group.chosen.requests[item.position]
        return Comparison(
            model_name=self._model_name,
            rollout_id=job.split.rollout_id,
            worker=self._worker,
            request_partition=request.record.partition,
            request_offset=request.record.offset,
            request_id=request.body.id,
            at=datetime.now(UTC),
            primary_version=job.group.chosen.lease.model_version,
            shadow_version=shadow,
            agree=agree,
            primary_compute_ms=round(job.group.compute_ms, 3),
            shadow_compute_ms=round(compute_ms, 3),
            **fields,  # type: ignore[arg-type]
        )


def _counting(found: Compared, compute_ms: float, answers: int, *, has_rows: bool) -> Callable[[Tally], None]:
    def count(tally: Tally) -> None:
        tally.add_computed(compute_ms, answers)
        tally.add_outputs(next(iter(found.shadow.values())), len(found.agree), has_rows=has_rows)
        tally.add_agreement(found.agree, found.difference)

    return count


def _sampled(job: _Job) -> list[_Item]:
    """Return the requests that were answered, and belong to the share that is shadowed."""
    split, group = job.split, job.group
    items, end = [], 0
    for position, (request, rows) in enumerate(zip(group.chosen.requests, group.chosen.rows, strict=True)):
        start, end = end, end + rows
        wanted = split.shadow_share >= WEIGHT_TOTAL or is_shadowed(split, routing_key(request))
        if wanted and position not in group.failures:
            items.append(_Item(job, position, start, end))
    return items


def _joined(part: Sequence[_Item], tensors: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the rows of these requests, one after the other."""
    if not _has_rows(part[0]):
        return dict(tensors[0])
    return {
        name: np.concatenate([of[name][item.start : item.end] for item, of in zip(part, tensors, strict=True)])
        for name in tensors[0]
    }


def _has_rows(item: _Item) -> bool:
    return item.job.group.chosen.lease.model.manifest.has_rows


def _shapes(group: ComputedGroup) -> _Shapes:
    tensors = (*group.chosen.inputs.items(), *(group.outputs or {}).items())
    return tuple((name, array.dtype.str, array.shape[1:]) for name, array in tensors)


def _size_bytes(group: ComputedGroup) -> int:
    return sum(array.nbytes for array in (*group.chosen.inputs.values(), *(group.outputs or {}).values()))
