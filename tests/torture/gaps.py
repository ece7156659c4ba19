"""What the longest gaps between answers were made of: brokers, workers that stood still, starts, or the rest, ours."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tests.torture.facts import Fault, RunFacts

SHOWN_MAX = 10
GAP_MS_MIN = 1_000
"""Shorter ones are not looked at."""
STEP_S = 0.05
_BEFORE_S = 1.0
"""A fault so long before a gap belongs to it, too."""

State = Literal["served", "unwritten", "regrouping", "starting", "paused", "blocked"]
_STATES: tuple[State, ...] = ("served", "unwritten", "regrouping", "starting", "paused", "blocked")
"""From good to bad: see `Gap`."""


class Gap(Struct, frozen=True, kw_only=True):
    """Some seconds without a valid answer, and what they were made of: each moment counts for the first that fits.

    `blocked_s`: no broker took requests or answers of the partition. `unwritten_s`: the request that was answered next
    was not in its topic yet, so there was nothing to answer. `paused_s`: whoever has it was stopped (SIGSTOP).
    `starting_s`: nobody had it, and no worker ran but those that were being started. `regrouping_s`: nobody had it
    though a worker ran. `served_s`: a worker had it, and its brokers were there.
    """

    partition: int | None
    """None: in no partition was an answer."""
    from_s: float
    seconds: float
    blocked_s: float
    paused_s: float
    starting_s: float
    regrouping_s: float
    served_s: float
    unwritten_s: float = 0.0
    alike: int
    """The number of further partitions in which the longest part of the same time was a gap, too."""
    faults: list[str]

    def line(self) -> str:
        """Say it in one line."""
        where = "anywhere" if self.partition is None else f"partition {self.partition} (and {self.alike} more)"
        parts = {name: getattr(self, f"{name}_s") for name in reversed(_STATES)}
        made_of = ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts.items() if seconds >= STEP_S)
        faults = "; ".join(self.faults) or "no fault"
        return f"{self.seconds:5.1f} s from {self.from_s:.1f} s, {where}: {made_of}; {faults}"


_Doing = tuple[int, ...] | Literal["starting", "gone"]
"""The partitions that a worker has, or why it has none."""


class _Worker:
    """What one worker did when."""

    def __init__(self) -> None:
        self.paused: list[tuple[float, float]] = []
        self._times: list[float] = []
        self._doing: list[_Doing] = []
        self._leaving = False

    def change(self, at_s: float, change: _Doing | Literal["leaving"]) -> None:
        """Take in what it does from here on; in order of time."""
        if change == "leaving":  # it answers until others have its partitions
            self._leaving = True
            return
        self._leaving &= change != "starting"
        self._times.append(at_s)
        self._doing.append("gone" if self._leaving and change == () else change)

    def stands(self, at_s: float) -> bool:
        """Return whether it was stopped then."""
        return any(from_s <= at_s < until_s for from_s, until_s in self.paused)

    def at(self, at_s: float) -> _Doing:
        """Return what it did then."""
        place = bisect_right(self._times, at_s) - 1
        return self._doing[place] if place >= 0 else "gone"


class Account:
    """Tells what was the matter with a partition at a time."""

    def __init__(self, run: RunFacts) -> None:
        self._faults = sorted(run.faults, key=lambda fault: fault.at_s)
        self._blocked = run.blocked
        self._workers: dict[str, _Worker] = {}
        changes: list[tuple[float, int, str, _Doing | Literal["leaving"]]] = [
            (said.at_s, 1, said.worker, "starting" if said.partitions is None else said.partitions) for said in run.said
        ]
        for fault in run.faults:
            if fault.kind in ("kill", "add"):
                changes.append((fault.at_s, 0, fault.target, "starting"))
            elif fault.kind == "remove":
                changes.append((fault.at_s, 0, fault.target, "leaving"))
            elif fault.kind == "pause":
                self._worker(fault.target).paused.append((fault.at_s, fault.at_s + fault.seconds))
        for at_s, _, name, change in sorted(changes, key=lambda change: change[:3]):
            self._worker(name).change(at_s, change)

    def _worker(self, name: str) -> "_Worker":
        return self._workers.setdefault(name, _Worker())

    def state(self, partition: int, at_s: float) -> State:
        """Return what kept the partition from being answered."""
        if any(each.from_s <= at_s < each.until_s and partition in each.partitions for each in self._blocked):
            return "blocked"
        starting, running, paused = False, False, False
        for worker in self._workers.values():
            doing, stands = worker.at(at_s), worker.stands(at_s)
            if isinstance(doing, tuple):
                if partition in doing and not stands:
                    return "served"
                paused |= partition in doing
                running |= not stands
            starting |= doing == "starting"
        if paused:
            return "paused"
        return "starting" if starting and not running else "regrouping"

    def faults(self, from_s: float, until_s: float) -> list[str]:
        """Return the faults that fall into a time, in words."""
        return [
            f"{fault.kind} {fault.target} at {fault.at_s:.1f}" + (f" for {fault.seconds:.1f}" if fault.seconds else "")
            for fault in self._faults
            if fault.at_s < until_s and _end(fault) > from_s - _BEFORE_S
        ]

    def gap(
        self, partition: int | None, partitions: int, from_s: float, seconds: float, alike: int, written_s: float = 0.0
    ) -> Gap:
        """Look at each moment of a gap; where no partition was answered, what is best of all partitions counts.

        Args:
            partition: The partition; None for all.
            partitions: How many there are.
            from_s: When the gap began.
            seconds: Its length.
            alike: See `Gap`.
            written_s: When the request that was answered at its end was in its topic.
        """
        spent = dict.fromkeys(_STATES, 0)
        looked_at = range(partitions) if partition is None else (partition,)
        moments = np.arange(from_s, from_s + seconds, STEP_S).tolist()
        for at_s in moments:
            state = min((self.state(number, at_s) for number in looked_at), key=_STATES.index)
            spent["unwritten" if at_s < written_s and state != "blocked" else state] += 1
        share = {name: round(seconds * count / max(1, len(moments)), 2) for name, count in spent.items()}
        return Gap(
            partition=partition,
            from_s=round(from_s, 2),
            seconds=round(seconds, 2),
            blocked_s=share["blocked"],
            paused_s=share["paused"],
            starting_s=share["starting"],
            regrouping_s=share["regrouping"],
            served_s=share["served"],
            unwritten_s=share["unwritten"],
            alike=alike,
            faults=self.faults(from_s, from_s + seconds),
        )


def longest_gaps(
    run: RunFacts, answered_ms: Sequence[npt.NDArray[np.int64]], written_ms: Sequence[npt.NDArray[np.int64]]
) -> tuple[list[Gap], list[Gap]]:
    """Return the longest gaps in a partition, each of another time, and the longest anywhere.

    Args:
        run: What was done when.
        answered_ms: For each partition, when its requests were answered; in ms since 1970.
        written_ms: When these requests were in their topic.
    """
    account = Account(run)
    found = [
        (from_s, seconds, number, (int(written_ms[number][place + 1]) - run.began_ms) / 1_000)
        for number, times_ms in enumerate(answered_ms)
        for from_s, seconds, place in _gaps(times_ms, run.began_ms)
    ]
    chosen: list[tuple[float, float, int, int, float]] = []
    for from_s, seconds, number, written_s in sorted(found, key=lambda gap: -gap[1]):
        if len(chosen) < SHOWN_MAX and not any(_overlap(from_s, seconds, *each[:2]) for each in chosen):
            alike = {other for start_s, length_s, other, _ in found if _overlap(start_s, length_s, from_s, seconds)}
            chosen.append((from_s, seconds, number, len(alike - {number}), written_s))
    everywhere = sorted(
        _gaps(np.sort(np.concatenate(answered_ms)), run.began_ms) if len(answered_ms) else (), key=lambda gap: -gap[1]
    )
    partitions = len(answered_ms)
    return (
        [
            account.gap(number, partitions, from_s, seconds, alike, written_s)
            for from_s, seconds, number, alike, written_s in chosen
        ],
        [account.gap(None, partitions, from_s, seconds, 0) for from_s, seconds, _ in everywhere[:SHOWN_MAX]],
    )


def longest_wait_ms(answered_ms: npt.NDArray[np.int64], written_ms: npt.NDArray[np.int64]) -> int:
    """Return the longest time without an answer in a partition while the next request was in its topic, in ms.

    Args:
        answered_ms: When its requests were answered, in their order.
        written_ms: When these requests were in their topic.
    """
    waited = answered_ms[1:] - np.maximum(answered_ms[:-1], written_ms[1:])
    return int(waited.max()) if len(waited) else 0


def _gaps(times_ms: npt.NDArray[np.int64], began_ms: int) -> Iterable[tuple[float, float, int]]:
    """Return when each gap begins, how long it is, and its place: after that of so many answers."""
    steps = np.diff(times_ms)
    for place in np.flatnonzero(steps >= GAP_MS_MIN).tolist():
        yield (int(times_ms[place]) - began_ms) / 1_000, int(steps[place]) / 1_000, place


def _overlap(from_s: float, seconds: float, other_from_s: float, other_seconds: float) -> bool:
    """Return whether at least half of the shorter one is part of both."""
    both_s = min(from_s + seconds, other_from_s + other_seconds) - max(from_s, other_from_s)
    return both_s >= min(seconds, other_seconds) / 2


def _end(fault: Fault) -> float:
    return fault.at_s + fault.seconds
