"""What the answers of one model are observed by, from the hot loop to the records of each second.

`observe` runs in the loop's thread, `shadowed` in that of the shadows, `drain` in the event loop. Each of the first two
writes to tallies of its own, under a lock that is held for long by nobody else: `drain` only takes the tallies away.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from hotswap_events.inference.fleet import ObservationsLost
from hotswap_events.inference.observation import Comparison, Observation, ObservationRole
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.workers.inference.batches.batches import Batch, Group
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.observing.tally import Tally
from hotswap_stream.workers.inference.requests.requests import Unreadable

_log = structlog.get_logger(__name__)

KEYS_MAX = 32
"""Versions in their roles, at a time; what comes beyond is not observed, and counted."""
COMPARISONS_A_SECOND_MAX = 10
"""Per shadow."""
SHADOWS_MAX = 64
"""Whose comparisons are counted apart."""
COMPARISONS_UNSENT_MAX = 100

Key = tuple[str | None, ObservationRole, str | None]
"""Version, role, rollout."""


class Tallies:
    """Hold the tallies that one thread writes to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.since = datetime.now(UTC)
        self.answers_not_counted = 0
        self._by_key: dict[Key, Tally] = {}

    def of(self, key: Key, slow_ms: float | None, answers: int) -> Tally | None:
        """Return the tally of a key, for more answers; None when there are too many keys. Call it under the lock."""
        tally = self._by_key.get(key)
        if tally is None:
            if len(self._by_key) >= KEYS_MAX:
                self.answers_not_counted += answers
                return None
            tally = self._by_key[key] = Tally(slow_ms)
        return tally

    def take(self) -> tuple[datetime, dict[Key, Tally]]:
        """Begin anew."""
        now = datetime.now(UTC)
        with self.lock:
            taken, self._by_key = self._by_key, {}
            since, self.since = self.since, now
        return since, taken


class Observer:
    """Count what one model answers in one run of a worker."""

    def __init__(self, model_name: str, worker: str, worker_run: str) -> None:
        self._comparisons_dropped = 0
        self._model_name = model_name
        self._worker = worker
        self._worker_run = worker_run
        self._rollout_id: str | None = None
        self._slow_ms: float | None = None
        self._sequence = 0
        self._answered, self._shadowed = Tallies(), Tallies()
        self._comparisons: list[Comparison] = []
        self._budgets: dict[str, _Budget] = {}
        self._failed = False

    @property
    def model_name(self) -> str:
        """The model whose answers are counted."""
        return self._model_name

    @property
    def lost(self) -> ObservationsLost:
        """What could not be counted, or kept to be sent."""
        return ObservationsLost(
            answers_not_counted=self._answered.answers_not_counted + self._shadowed.answers_not_counted,
            comparisons_dropped=self._comparisons_dropped,
        )

    def update(self, state: ModelState) -> None:
        """Take in the model's state: which rollout is on, and what it calls slow."""
        rollout = state.rollout
        self._rollout_id = None if rollout is None else rollout.rollout_id
        rules = () if rollout is None else rollout.policy.metrics
        self._slow_ms = min((rule.slow_ms for rule in rules if rule.slow_ms is not None), default=None)

    def observe(self, batch: ComputedBatch) -> None:
        """Count a batch that was answered. Never raises: what is not counted costs nobody an answer."""
        try:
            with self._answered.lock:
                for group in batch.groups:
                    tally = self._answered.of(self._key(group.chosen), self._slow_ms, len(group.chosen.requests))
                    if tally is not None:
                        tally.add(group)
                chosen = batch.chosen
                if len(chosen.entries) != sum(len(group.requests) for group in chosen.groups):
                    self._without_pass(chosen)
        except Exception:  # noqa: BLE001  # see above
            if not self._failed:
                _log.exception("observing_failed", model_name=self._model_name)
            self._failed = True

    def shadowed(
        self, shadow_version: str, rollout_id: str | None, answers: int, count: Callable[[Tally], None]
    ) -> None:
        """Let `count` count what a shadow version did with some requests."""
        with self._shadowed.lock:
            tally = self._shadowed.of((shadow_version, "shadow", rollout_id), self._slow_ms, answers)
            if tally is not None:
                count(tally)

    def wants_comparison(self, shadow_version: str, *, agree: bool) -> bool:
        """Return whether one more compared pair of this shadow may be sent now.

        Half of those that may be sent are kept for disagreements.
        """
        budget = self._budgets.get(shadow_version)
        if budget is None:
            if len(self._budgets) >= SHADOWS_MAX:
                self._budgets.clear()
            budget = self._budgets[shadow_version] = _Budget(COMPARISONS_A_SECOND_MAX)
        return budget.take(agree=agree)

    def compared(self, comparisons: Iterable[Comparison]) -> None:
        """Send these with the next observations."""
        with self._shadowed.lock:
            for comparison in comparisons:
                if len(self._comparisons) < COMPARISONS_UNSENT_MAX:
                    self._comparisons.append(comparison)
                else:
                    self._comparisons_dropped += 1

    def drain(self) -> list[Observation]:
        """Return what was counted since the last time; numbered, so each must be sent, as often as it takes."""
        records = []
        for tallies in (self._answered, self._shadowed):
            since, taken = tallies.take()
            for (model_version, role, rollout_id), tally in taken.items():
                record = tally.observation(
                    role,
                    since,
                    tallies.since,
                    worker=self._worker,
                    worker_run=self._worker_run,
                    sequence=self._sequence + 1,
                    model_name=self._model_name,
                    model_version=model_version,
                    rollout_id=rollout_id,
                )
                if record is not None:
                    self._sequence += 1
                    records.append(record)
        return records

    def drain_comparisons(self) -> list[Comparison]:
        """Return the comparisons since the last time."""
        with self._shadowed.lock:
            taken, self._comparisons = self._comparisons, []
        return taken

    def comparisons_lost(self, count: int) -> None:
        """Count comparisons that were drained and not sent."""
        with self._shadowed.lock:
            self._comparisons_dropped += count

    def _key(self, group: Group) -> Key:
        lease = group.lease
        plan = lease.plan
        rollout_id = self._rollout_id if plan is None else plan.split.rollout_id
        role: ObservationRole = "primary"
        if group.probes:
            role = "probe"
        elif group.pinned:
            role = "pinned"
        elif lease.fallback_for is not None:
            role = "fallback"
        return lease.model_version, role, rollout_id

    def _without_pass(self, batch: Batch) -> None:
        """Count requests without a forward pass: those whose window is not full are answered well."""
        for waiting in batch.not_ready.values():
            role: ObservationRole = "pinned" if waiting.pinned else "primary"
            plan = waiting.lease.plan
            rollout_id = self._rollout_id if plan is None else plan.split.rollout_id
            tally = self._answered.of((waiting.lease.model_version, role, rollout_id), self._slow_ms, 1)
            if tally is not None:
                tally.answers += 1
        if len(batch.refused) or any(isinstance(entry, Unreadable) for entry in batch.entries):
            self._refused(batch)

    def _refused(self, batch: Batch) -> None:
        unreadable = [entry for entry in batch.entries if isinstance(entry, Unreadable)]
        count = len(batch.refused) + len(unreadable)
        tally = self._answered.of((None, "refused", self._rollout_id), None, count)
        if tally is None:
            return
        for refused in batch.refused.values():
            tally.add_errors(refused.code, 1)
        for entry in unreadable:
            tally.add_errors(entry.code, 1)


class _Budget:
    """Allow some per second; half of it for any pair, the other half for those that disagree."""

    def __init__(self, a_second: int) -> None:
        self._each = a_second // 2
        self._left = {True: self._each, False: self._each}
        self._second = 0

    def take(self, *, agree: bool) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._left = {True: self._each, False: self._each}
        for any_pair in (True,) if agree else (False, True):
            if self._left[any_pair]:
                self._left[any_pair] -= 1
                return True
        return False
