"""Void answers: who wrote them and when. They count for nothing, and yet each was computed and written for nothing."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_events.inference.answers import read_answer

SHOWN_MAX = 12
TOGETHER_MS = 2_000
"""With less between them, void answers of one worker are one burst."""


class _Facts(Struct):
    worker: str = "?"


class _Body(Struct):
    parameters: _Facts


_json, _msgpack = msgspec.json.Decoder(_Body), msgspec.msgpack.Decoder(_Body)


class VoidAnswer(Struct, frozen=True, gc=False):
    """One of them. `late_ms`: behind the answer that counts, by the brokers' clock."""

    timestamp_ms: int
    worker: str
    partition: int
    late_ms: int


class Burst(Struct, frozen=True, kw_only=True):
    """Void answers of one worker, in seconds after the first answers of the run."""

    worker: str
    from_s: float
    until_s: float
    answers: int
    partitions: int
    late_s: float
    """The longest that one of them came behind the answer that counts."""

    def line(self) -> str:
        """Say it in one line."""
        return (
            f"{self.answers} by {self.worker} from {self.from_s:.1f} to {self.until_s:.1f} s, in {self.partitions} "
            f"partitions, up to {self.late_s:.1f} s behind the answer that counts"
        )


class VoidTally:
    """The void answers of one partition."""

    def __init__(self, partition: int) -> None:
        self.taken: list[VoidAnswer] = []
        self._partition = partition

    def take(
        self,
        timestamp_ms: int,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        counting_ms: npt.NDArray[np.int64],
    ) -> None:
        """One more. `counting_ms`: when the answers that count were written, by request offset."""
        answer = read_answer(headers)
        if answer is None:
            return
        try:
            worker = (_msgpack if answer.raw else _json).decode(value or b"").parameters.worker
        except (msgspec.DecodeError, UnicodeDecodeError):  # it is void, whatever it says
            worker = "?"
        offset = answer.request_offset
        there_ms = int(counting_ms[offset]) if offset < len(counting_ms) else 0
        late_ms = timestamp_ms - there_ms if there_ms else 0
        self.taken.append(VoidAnswer(timestamp_ms, worker, self._partition, late_ms))


def bursts(answers: Iterable[VoidAnswer], began_ms: int) -> list[Burst]:
    """Return what was written together, the largest bursts first."""
    by_worker: dict[str, list[VoidAnswer]] = {}
    for answer in sorted(answers, key=lambda answer: answer.timestamp_ms):
        by_worker.setdefault(answer.worker, []).append(answer)
    found = []
    for worker, own in by_worker.items():
        burst: list[VoidAnswer] = []
        for answer in own:
            if burst and answer.timestamp_ms - burst[-1].timestamp_ms > TOGETHER_MS:
                found.append(_burst(worker, burst, began_ms))
                burst = []
            burst.append(answer)
        found.append(_burst(worker, burst, began_ms))
    return sorted(found, key=lambda burst: -burst.answers)[:SHOWN_MAX]


def _burst(worker: str, answers: Sequence[VoidAnswer], began_ms: int) -> Burst:
    return Burst(
        worker=worker,
        from_s=round((answers[0].timestamp_ms - began_ms) / 1_000, 2),
        until_s=round((answers[-1].timestamp_ms - began_ms) / 1_000, 2),
        answers=len(answers),
        partitions=len({answer.partition for answer in answers}),
        late_s=round(max(answer.late_ms for answer in answers) / 1_000, 2),
    )
