"""What one version answered since the last observation, as numbers that add up.

`add` runs in the hot loop's thread for each group of requests: it only puts aside what has to be counted. Counting is
done over some hundred rows at once, which costs each of them next to nothing.
"""

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_events.inference.messages import ErrorCode
from hotswap_events.inference.observation import (
    FEATURES_MAX,
    INPUT_SKETCH,
    LABELS_MAX,
    SCORE_SKETCH,
    LatencyCounts,
    Observation,
    ObservationRole,
    Sums,
)
from hotswap_stream.application.observations.row_sketches import (
    OUTPUT_ELEMENTS_MAX,
    Floats,
    as_one_row,
    encoded,
    labels_and_scores,
    new_sketch,
    summable,
    update,
)
from hotswap_stream.domain.statistics.latency_histogram import BUCKETS_PER_DOUBLING, HIGHEST, LOWEST, bucket_of
from hotswap_stream.workers.inference.batches.computed import ComputedGroup
from hotswap_stream.workers.inference.observing.input_sample import InputSample
from hotswap_stream.workers.inference.requests.tensors import Array

WAIT_MS_MAX = 1e9
FOLD_ROWS = 256
"""At most this many rows or groups are put aside before they are counted."""


class Tally:
    """Not for more than one thread at a time."""

    def __init__(self, slow_ms: float | None) -> None:
        self.slow_ms = slow_ms
        self.answers = self.rows = self.agreed = self.disagreed = 0
        self.skipped = 0.0
        self.errors: dict[ErrorCode, int] = {}
        self._compute: dict[int, int] = {}
        self._compute_ms = 0.0
        self._slow_compute = 0
        self._waits: list[float] = []
        self._computed: list[tuple[float, int]] = []
        """Milliseconds of each pass, and how many of `_waits` it is in."""
        self._pass_rows: dict[int, int] = {}
        self._outputs: list[Array] = []
        self._pending_rows = 0
        self._total, self._queue = _Waiting(), _Waiting()
        self._slow_total = 0
        self._labels: npt.NDArray[np.int64] | None = None
        self._score = _Summing()
        self._difference = _Summing()
        self._score_sketch = new_sketch()
        self._inputs = InputSample()

    def add(self, group: ComputedGroup) -> None:
        """Count a group that was answered."""
        chosen, failures = group.chosen, group.failures
        requests = chosen.requests
        if group.outputs is None:
            self._add_failures(group)
            return
        end_ms = group.started_ms + group.compute_ms
        waits = [end_ms - request.record.timestamp_ms for request in requests]
        has_rows = chosen.lease.model.manifest.has_rows
        output = next(iter(group.outputs.values()))
        rows = len(output) if has_rows else 1
        if failures and not has_rows:
            self._add_failures(group)
            return
        if failures:
            self._add_failures(group)
            waits = [wait for position, wait in enumerate(waits) if position not in failures]
            output = output[np.repeat([position not in failures for position in range(len(requests))], chosen.rows)]
            rows = len(output)
        self._waits += waits
        self._computed.append((group.compute_ms, len(waits)))
        if rows:
            exponent = (rows - 1).bit_length()
            self._pass_rows[exponent] = self._pass_rows.get(exponent, 0) + 1
        self.add_computed(group.compute_ms, len(waits))
        self.add_outputs(output, rows, has_rows=has_rows)
        inputs = next(iter(chosen.inputs.values()))
        if inputs.dtype.kind != "O" and inputs.size:
            # After the rows of the requests there may be some that pad the pass.
            self._inputs.offer(inputs[: chosen.row_count] if has_rows else as_one_row(inputs))

    def _add_failures(self, group: ComputedGroup) -> None:
        if group.version_failures:
            self.add_errors("model-failure", group.version_failures)
        if group.by_input:
            self.add_errors("wrong-input", len(group.by_input))

    def add_errors(self, code: ErrorCode, count: int) -> None:
        """Count requests that were answered with an error."""
        self.errors[code] = self.errors.get(code, 0) + count

    def add_computed(self, compute_ms: float, answers: int) -> None:
        """Count answers of one forward pass."""
        self.answers += answers
        bucket = bucket_of(compute_ms)
        self._compute[bucket] = self._compute.get(bucket, 0) + answers
        self._compute_ms += compute_ms * answers
        if self.slow_ms is not None and compute_ms > self.slow_ms:
            self._slow_compute += answers

    def add_outputs(self, output: Array, rows: int, *, has_rows: bool = True) -> None:
        """Count the first output of one forward pass; of texts only the rows.

        Small ones are copied: whoever made them may use their memory again.
        """
        self.rows += rows
        if output.dtype.kind == "O" or not output.size:
            return
        if not has_rows:
            output = as_one_row(output)
        if output.size <= OUTPUT_ELEMENTS_MAX * rows:
            self._outputs.append(output.copy())
        self._pending_rows += rows
        if self._pending_rows >= FOLD_ROWS or len(self._outputs) >= FOLD_ROWS:
            self.fold()

    def add_agreement(self, agree: npt.NDArray[np.bool_], difference: Floats) -> None:
        """Count how a shadow's rows agree with those of the primary."""
        count = int(np.count_nonzero(agree))
        self.agreed += count
        self.disagreed += len(agree) - count
        self._difference.add(difference)

    def fold(self) -> None:
        """Count what was put aside."""
        waits, self._waits = self._waits, []
        computed, self._computed = self._computed, []
        outputs, self._outputs = self._outputs, []
        self._pending_rows = 0
        if waits:
            self._add_waits(np.array(waits), computed)
        if len({output.shape[1:] for output in outputs}) == 1:
            self._add_scores(np.concatenate(outputs))
        else:
            for output in outputs:
                self._add_scores(output)

    def _add_waits(self, waits: Floats, computed: list[tuple[float, int]]) -> None:
        passes = np.array(computed)
        self._queue.add(waits - np.repeat(passes[:, 0], passes[:, 1].astype(np.int64)))
        self._total.add(waits)
        if self.slow_ms is not None:
            self._slow_total += int(np.count_nonzero(waits > self.slow_ms))

    def _add_scores(self, output: Array) -> None:
        labels, scores = labels_and_scores(output)
        if labels is not None:
            counts = np.bincount(labels, minlength=output.shape[1])
            if self._labels is None:
                self._labels = counts
            elif len(counts) == len(self._labels):
                self._labels += counts
        scores = scores[np.isfinite(scores)]
        self._score.add(scores)
        update(self._score_sketch, scores)

    def observation(self, role: ObservationRole, since: datetime, until: datetime, **fields: Any) -> Observation | None:
        """Return all of it as a record; None if there is nothing to say."""
        self.fold()
        if not (self.answers or self.errors or self.skipped >= 1):
            return None
        labels, other = _most_frequent(self._labels)
        sketches = {SCORE_SKETCH: encoded(self._score_sketch)} if self._score.count else {}
        sketches |= {name: encoded(sketch) for name, sketch in self._inputs.sketches(INPUT_SKETCH, FEATURES_MAX)}
        return Observation(
            role=role,
            since=since,
            until=until,
            answers=self.answers,
            errors=self.errors,
            rows=self.rows,
            compute=LatencyCounts(
                buckets=dict(sorted(self._compute.items())),
                total_ms=round(self._compute_ms, 3),
                slow=self._slow_compute,
            ),
            total=self._total.counts(slow=self._slow_total),
            queue=self._queue.counts(),
            pass_rows=dict(sorted(self._pass_rows.items())),
            slow_ms=self.slow_ms,
            labels=labels,
            labels_other=other,
            agreed=self.agreed,
            disagreed=self.disagreed,
            skipped=round(self.skipped),
            score=self._score.sums(),
            score_difference=self._difference.sums(),
            input=self._inputs.sums(),
            sketches=sketches,
            **fields,
        )


class _Waiting:
    """A histogram of milliseconds, still growing."""

    def __init__(self) -> None:
        self._counts = np.zeros(HIGHEST - LOWEST + 1, np.int64)
        self._total_ms = 0.0

    def add(self, waits: Floats) -> None:
        # A record may say of any time that it is its own; a longer wait would make the sum more than a record may hold.
        waits = np.clip(waits, 2.0 ** (LOWEST / BUCKETS_PER_DOUBLING), WAIT_MS_MAX)
        buckets = np.ceil(np.log2(waits) * BUCKETS_PER_DOUBLING).astype(np.int64) - LOWEST
        self._counts += np.bincount(np.minimum(buckets, HIGHEST - LOWEST), minlength=len(self._counts))
        self._total_ms += float(waits.sum())

    def counts(self, *, slow: int = 0) -> LatencyCounts:
        buckets = {int(index) + LOWEST: int(self._counts[index]) for index in np.flatnonzero(self._counts)}
        return LatencyCounts(buckets=buckets, total_ms=round(self._total_ms, 3), slow=slow)


class _Summing:
    """Sums of values, still growing."""

    def __init__(self) -> None:
        self.count, self._total, self._squares = 0, 0.0, 0.0

    def add(self, values: Floats) -> None:
        values = summable(values)
        self.count += len(values)
        self._total += float(values.sum())
        self._squares += float(np.dot(values, values))

    def sums(self) -> Sums:
        return Sums(self.count, self._total, self._squares)


def _most_frequent(counts: npt.NDArray[np.int64] | None) -> tuple[dict[int, int], int]:
    if counts is None:
        return {}, 0
    found = np.flatnonzero(counts)
    if len(found) > LABELS_MAX:
        found = np.sort(found[np.argsort(counts[found])[-LABELS_MAX:]])
    labels = {int(label): int(counts[label]) for label in found}
    return labels, int(counts.sum()) - sum(labels.values())
