"""Shadows: versions that compute what they would have answered, behind the answers and never in their way.

A batch is offered after its answers were handed to Kafka. One thread takes such batches, one at a time, in small
forward passes, none of which it begins while the hot loop computes. What it has no time for is dropped and counted.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import structlog
from msgspec import Struct

from hotswap_events.observation import Comparison
from hotswap_stream.application.serving import ServingModel
from hotswap_stream.application.version_slots import VersionSlots
from hotswap_stream.domain.routing import WEIGHT_TOTAL
from hotswap_stream.domain.traffic import Traffic, is_shadowed
from hotswap_stream.workers.inference.batches import Batch, Group
from hotswap_stream.workers.inference.choosing import routing_key
from hotswap_stream.workers.inference.observer import Observer
from hotswap_stream.workers.inference.shadow_compare import Compared, compare, shown
from hotswap_stream.workers.inference.tally import Tally
from hotswap_stream.workers.inference.tensors import Array

_log = structlog.get_logger(__name__)

GROUPS_QUEUED_MAX = 2
"""Groups that wait for the shadows; while so many do, further ones are dropped."""
PASS_ROWS_MAX = 16
"""A forward pass cannot be stopped once the hot loop needs the processor: so it is small."""
PASS_MS_MAX = 4.0
"""A pass that took longer makes the next ones smaller."""
IDLE_WAIT_SECONDS_MAX = 0.2
"""A group that finds no gap between the hot loop's passes for so long is dropped."""


class _Job(Struct, frozen=True, gc=False):
    group: Group
    split: Traffic


class ShadowRunner:
    """Of one model. `computing` and `offer` belong to the hot loop's thread."""

    def __init__(
        self, model_name: str, worker: str, slots: VersionSlots, observer: Observer, batch_size_max: int
    ) -> None:
        self._model_name = model_name
        self._worker = worker
        self._slots = slots
        self._observer = observer
        self._batch_size_max = batch_size_max
        self._jobs: deque[_Job] = deque()
        self._work = threading.Semaphore(0)
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._pass_rows = PASS_ROWS_MAX

    def computing(self) -> None:
        """The hot loop begins a batch. No shadow begins anything until `offer`."""
        if self._thread is not None:
            self._idle.clear()

    def offer(self, batch: Batch) -> None:
        """A batch was answered: let the shadows see what they should, if there is time for it."""
        self._idle.set()
        for group in batch.groups:
            plan = group.serving.plan
            if plan is None or not plan.split.shadows or group.pinned or group.probes or group.outputs is None:
                continue
            full = len(batch.entries) >= self._batch_size_max
            if full or len(self._jobs) >= GROUPS_QUEUED_MAX:
                self._skip(plan.split, len(group.requests) * plan.split.shadow_share / WEIGHT_TOTAL)
                continue
            self._jobs.append(_Job(group, plan.split))
            if self._thread is None:
                name = f"shadow-{self._model_name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            self._work.release()

    def stop(self) -> None:
        """Return when no shadow computes any more. Blocks for one forward pass at most."""
        self._stopping = True
        self._jobs.clear()
        self._idle.set()
        self._work.release()
        if self._thread is not None:
            self._thread.join()

    def _skip(self, split: Traffic, requests: float) -> None:
        def count(tally: Tally) -> None:
            tally.skipped += requests

        for shadow in split.shadows:
            self._observer.shadowed(shadow, split.rollout_id, round(requests), count)

    def _run(self) -> None:
        while True:
            self._work.acquire()
            if self._stopping:
                return
            try:
                job = self._jobs[0]
            except IndexError:
                continue
            try:
                self._shadow(job)
            except Exception:  # noqa: BLE001  # a shadow that fails costs nobody an answer
                _log.exception("shadow_failed", model_name=self._model_name)
            finally:
                # Only now: what is being computed counts as queued.
                if self._jobs:
                    self._jobs.popleft()

    def _shadow(self, job: _Job) -> None:
        split, group = job.split, job.group
        positions = [
            position
            for position, request in enumerate(group.requests)
            if position not in group.failures
            and (split.shadow_share >= WEIGHT_TOTAL or is_shadowed(split, routing_key(request)))
        ]
        if not positions:
            return
        for shadow in split.shadows:
            if shadow == group.serving.model_version:
                continue
            serving = self._slots.begin_version(shadow)
            if serving is None:  # not loaded here, or not yet
                self._skip(Traffic((), rollout_id=split.rollout_id, shadows=(shadow,)), len(positions))
                continue
            try:
                self._compute(job, shadow, serving.model, positions)
            finally:
                self._slots.end(serving)

    def _compute(self, job: _Job, shadow: str, model: ServingModel, positions: list[int]) -> None:
        """Passes over a few requests each, in gaps of the hot loop."""
        group, rollout_id = job.group, job.split.rollout_id
        ends = np.cumsum(group.rows)
        done = 0
        while done < len(positions):
            if not self._gap():
                self._skip(Traffic((), rollout_id=rollout_id, shadows=(shadow,)), len(positions) - done)
                return
            part = [positions[done]]
            rows = group.rows[part[0]]
            for position in positions[done + 1 :]:
                if rows + group.rows[position] > self._pass_rows:
                    break
                part.append(position)
                rows += group.rows[position]
            done += len(part)
            taken = np.concatenate([np.arange(ends[each] - group.rows[each], ends[each]) for each in part])
            self._pass(job, shadow, model, part, taken)

    def _gap(self) -> bool:
        """Wait until the hot loop does not compute; False if it does all the time, or the worker stops."""
        return self._idle.wait(IDLE_WAIT_SECONDS_MAX) and not self._stopping

    def _pass(self, job: _Job, shadow: str, model: ServingModel, part: list[int], taken: Array) -> None:
        group, rollout_id = job.group, job.split.rollout_id
        inputs = {name: array[taken] for name, array in group.inputs.items()}
        began = time.perf_counter()
        try:
            outputs = dict(model.infer(inputs))
            compute_ms = (time.perf_counter() - began) * 1000
            primary = {name: array[taken] for name, array in (group.outputs or {}).items()}
            found = compare(primary, outputs)
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; only its shadow fails
            self._failed(job, shadow, part, f"{type(error).__name__}: {error}"[:2_000])
            return
        self._pass_rows = max(1, self._pass_rows // 2) if compute_ms > PASS_MS_MAX else self._pass_rows
        self._observer.shadowed(shadow, rollout_id, len(part), _counting(found, compute_ms, len(part)))
        self._show(job, shadow, part, found, compute_ms)

    def _failed(self, job: _Job, shadow: str, part: list[int], error: str) -> None:
        self._observer.shadowed(
            shadow, job.split.rollout_id, len(part), lambda tally: tally.add_errors("model-failure", len(part))
        )
        if self._observer.wants_comparison(agree=False):
            self._observer.compared([self._comparison(job, shadow, part[0], 0.0, agree=False, shadow_error=error)])

    def _show(self, job: _Job, shadow: str, part: list[int], found: Compared, compute_ms: float) -> None:
        comparisons, start = [], 0
        for position in part:
            end = start + job.group.rows[position]
            agree = bool(found.agree[start:end].all())
            if self._observer.wants_comparison(agree=agree):
                comparisons.append(
                    self._comparison(
                        job,
                        shadow,
                        position,
                        compute_ms,
                        agree=agree,
                        primary_outputs=shown(found.primary, start, end),
                        shadow_outputs=shown(found.shadow, start, end),
                    )
                )
            start = end
        self._observer.compared(comparisons)

    def _comparison(
        self, job: _Job, shadow: str, position: int, compute_ms: float, *, agree: bool, **fields: object
    ) -> Comparison:
        request = job.group.requests[position]
        return Comparison(
            model_name=self._model_name,
            rollout_id=job.split.rollout_id,
            worker=self._worker,
            request_partition=request.record.partition,
            request_offset=request.record.offset,
            request_id=request.body.id,
            at=datetime.now(UTC),
            primary_version=job.group.serving.model_version,
            shadow_version=shadow,
            agree=agree,
            primary_compute_ms=round(job.group.compute_ms, 3),
            shadow_compute_ms=round(compute_ms, 3),
            **fields,  # type: ignore[arg-type]
        )


def _counting(found: Compared, compute_ms: float, answers: int) -> Callable[[Tally], None]:
    def count(tally: Tally) -> None:
        tally.add_computed(compute_ms, answers)
        output = next(iter(found.shadow.values()))
        tally.add_outputs(output, len(output))
        tally.add_agreement(found.agree, found.difference)

    return count
