"""What the log says of the answers around swaps: gaps, slowest answers, first answers by the new weights."""

import bisect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.streams import Stream, header_of, place_of
from hotswap_events import headers as names


class _Facts(Struct, gc=False):
    registry_offset: int
    request_offset: int
    compute_ms: float = 0.0


class _Body(Struct, gc=False):
    model_version: str
    parameters: _Facts


class Answered(Struct, gc=False, frozen=True):
    """One answer; times in milliseconds since 1970, as the broker and the sender of the request stamped them."""

    at_ms: int
    asked_ms: int
    registry_offset: int
    partition: int
    compute_ms: float


class Traffic:
    """All answers from `answer_starts` on, read from the topics, in the order they were appended."""

    def __init__(
        self, requests: Stream, answers: Stream, request_starts: Sequence[int], answer_starts: Sequence[int]
    ) -> None:
        asked: list[list[int]] = [[] for _ in range(requests.partitions)]
        for message in requests.read(request_starts, requests.ends()):
            asked[place_of(message)[0]].append(message.timestamp()[1])
        decode = msgspec.msgpack.Decoder(_Body).decode
        found: list[Answered] = []
        self.old_after_new = 0
        """Answers by a version that was chosen before the one of an earlier answer in the same partition."""
        newest = [-1] * answers.partitions
        for message in answers.read(answer_starts, answers.ends()):
            partition, _ = place_of(message)
            value = message.value()
            assert value is not None
            assert header_of(message, names.STATUS) == b"ok", msgspec.msgpack.decode(value)
            facts = decode(value).parameters
            self.old_after_new += facts.registry_offset < newest[partition]
            newest[partition] = max(newest[partition], facts.registry_offset)
            place = facts.request_offset - request_starts[partition]
            if place >= 0:
                asked_ms = asked[partition][place]
                at_ms = message.timestamp()[1]
                found.append(Answered(at_ms, asked_ms, facts.registry_offset, partition, facts.compute_ms))
        self.answers = sorted(found, key=lambda answer: answer.at_ms)
        self._times = [answer.at_ms for answer in self.answers]

    def between(self, begin_ms: float, end_ms: float) -> list[Answered]:
        """Return the answers that were appended in this time."""
        return self.answers[bisect.bisect_left(self._times, begin_ms) : bisect.bisect_left(self._times, end_ms)]

    def longest_gap_ms(self, begin_ms: float, end_ms: float) -> int:
        """Return the longest time between two answers of any partitions, in this time."""
        times = [int(begin_ms), *(answer.at_ms for answer in self.between(begin_ms, end_ms)), int(end_ms)]
        return max(after - before for before, after in pairwise(times))

    def slowest_ms(self, begin_ms: float, end_ms: float) -> int:
        """Return the longest time from handing over a request to its answer in the log."""
        return max(answer.at_ms - answer.asked_ms for answer in self.between(begin_ms, end_ms))

    def first_by(self, registry_offset: int, event_ms: int) -> Answered:
        """Return the first answer by what this event chose, or what a later one chose."""
        for answer in self.answers[bisect.bisect_left(self._times, event_ms) :]:
            if answer.registry_offset >= registry_offset:
                return answer
        raise AssertionError(f"no answer by the version that offset {registry_offset} chose")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 100 * len(ordered)) // 100) - 1))]


def decoded_lines(lines: Sequence[str]) -> dict[int, tuple[int, float]]:
    """Return what `event_watch` wrote: offset → append time and time seen, in milliseconds."""
    found: dict[int, tuple[int, float]] = {}
    for line in lines:
        offset, appended_ms, seen_ms = line.split()
        found[int(offset)] = int(appended_ms), float(seen_ms)
    return found


Result = dict[str, Any]
