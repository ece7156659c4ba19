"""Matching answers to requests in one partition: an answer that counts names the offset of its request.

A worker may answer before the broker's acknowledgement, which says that offset, has reached the sender. Answers to
offsets not known yet are kept while requests are unacknowledged; acknowledgements come in order of offset, so whatever
lies before one of them belongs to somebody else.
"""

import asyncio
from collections import deque

from msgspec import Struct

from hotswap_events.inference.answers import AnswerRule

EARLY_ANSWERS_MAX = 1_024
EARLY_BYTES_MAX = 16 * 1_048_576


class RawAnswer(Struct, frozen=True, gc=False):
    """An answer's record, not decoded."""

    partition: int
    offset: int
    """Its own, in the response topic."""
    request_offset: int
    value: bytes
    raw: bool
    """Whether `value` is msgpack; else JSON."""
    ok: bool
    """Whether it is an answer; else an error answer."""
    tag: bytes | None
    """What proves that a worker wrote it."""


Waiter = asyncio.Future[RawAnswer]


class PartitionCorrelation:
    """One partition's requests in flight. No I/O; used from one event loop. `rule`: says which answers count."""

    def __init__(
        self, rule: AnswerRule, *, early_answers_max: int = EARLY_ANSWERS_MAX, early_bytes_max: int = EARLY_BYTES_MAX
    ) -> None:
        self.rule = rule
        self._early_answers_max = early_answers_max
        self._early_bytes_max = early_bytes_max
        self._waiting: dict[int, Waiter] = {}
        self._offsets: dict[Waiter, int] = {}
        self._early: deque[RawAnswer] = deque()
        self._early_bytes = 0
        self._unacknowledged = 0
        self._acknowledged = -1
        self._last_offset = -1

    @property
    def in_flight(self) -> int:
        """Return how many requests have no acknowledgement or no answer."""
        return self._unacknowledged + len(self._waiting)

    @property
    def highest(self) -> int:
        """Return the highest request offset that is answered; -1 before the first answer."""
        return self.rule.highest

    @property
    def full(self) -> bool:
        """Return whether no more answers should be handed in before the next acknowledgement."""
        return len(self._early) >= self._early_answers_max or self._early_bytes >= self._early_bytes_max

    def sending(self) -> None:
        """Note that a request is about to be sent; `acknowledged` or `not_sent` must follow."""
        self._unacknowledged += 1

    def not_sent(self) -> None:
        """Note that sending a request failed; whether it is in the topic may be unknown."""
        self._unacknowledged -= 1
        if not self._unacknowledged:
            self._drop_early_up_to(None)

    def acknowledged(self, request_offset: int, waiter: Waiter) -> None:
        """Note that a request is in the topic.

        Its waiter gets the answer, now or when it comes; `forget` it if it gives up.
        """
        self._unacknowledged -= 1
        self._acknowledged = request_offset
        self._drop_early_up_to(request_offset - 1)
        if self._early and self._early[0].request_offset == request_offset:
            answer = self._early[0]
            self._drop_early_up_to(request_offset)
            if not waiter.done():
                waiter.set_result(answer)
        elif not waiter.done():
            self._waiting[request_offset] = waiter
            self._offsets[waiter] = request_offset
        if not self._unacknowledged:
            self._drop_early_up_to(None)

    def answered(self, answer: RawAnswer) -> None:
        """Take an answer, in order of its offset.

        One that does not count, and one to somebody else's request, changes nothing.
        """
        if answer.offset <= self._last_offset:  # the topic was made anew
            self.rule.highest = self._acknowledged = -1
            self._drop_early_up_to(None)
        self._last_offset = answer.offset
        if self.rule.judge(answer.request_offset, answer.tag) != "valid":
            return
        waiter = self._waiting.get(answer.request_offset)
        if waiter is not None:
            self.forget(waiter)
            if not waiter.done():
                waiter.set_result(answer)
        elif self._unacknowledged and answer.request_offset > self._acknowledged:
            self._early.append(answer)
            self._early_bytes += len(answer.value)

    def fail(self, error: Exception) -> None:
        """Let every waiter raise this."""
        for waiter in list(self._waiting.values()):
            if not waiter.done():
                waiter.set_exception(error)

    def forget(self, waiter: Waiter) -> None:
        """Note that this one waits no more."""
        request_offset = self._offsets.pop(waiter, None)
        if request_offset is not None and self._waiting.get(request_offset) is waiter:
            del self._waiting[request_offset]

    def _drop_early_up_to(self, request_offset: int | None) -> None:
        early = self._early
        while early and (request_offset is None or early[0].request_offset <= request_offset):
            self._early_bytes -= len(early.popleft().value)
