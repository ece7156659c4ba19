"""Driving a target at a rate (open loop) or with a concurrency (closed loop).

In an open loop each request has a time when it is due, whatever became of those before, and its latency counts from
there: a target that stands still for a second makes all that was due in that second slow, not just one request.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from hotswap_stream.client.load.tally import Tally

PROGRESS_SECONDS = 1.0
SWEEP_SECONDS = 0.02
SLEEP_SECONDS_MIN = 0.0005


class Outcome(Struct, frozen=True, gc=False):
    """What came of one request: the version that answered, or the kind of error."""

    model_version: str = ""
    error: str | None = None


class LoadTarget(Protocol):
    """Where requests go. `send` never waits."""

    def send(self, number: int) -> "asyncio.Future[Any]":
        """Send the request with this number, and return a future of its answer, which may be cancelled."""
        ...

    def outcome(self, done: "asyncio.Future[Any]") -> Outcome:
        """Return what came of a request, once its future is done and not cancelled."""
        ...


class LoadPlan(Struct, frozen=True, kw_only=True):
    """How much, and how fast: either `rate_per_s` or `concurrency`; it ends after `seconds` or `requests`."""

    rate_per_s: float | None = None
    concurrency: int | None = None
    seconds: float | None = None
    requests: int | None = None
    timeout_s: float = 10.0
    in_flight_max: int = 1_024

    def __post_init__(self) -> None:
        if (self.rate_per_s is None) == (self.concurrency is None):
            raise ValueError("either a rate or a concurrency is needed")
        if self.seconds is None and self.requests is None:
            raise ValueError("seconds or requests are needed, or it would never end")


class LoadRun:
    """One run. `stop` ends it early."""

    def __init__(self, target: LoadTarget, plan: LoadPlan) -> None:
        self.tally = Tally()
        self.in_flight = 0
        self.started_s = self.last_s = 0.0
        self._target = target
        self._plan = plan
        self._place_free = asyncio.Event()
        self._stopping = asyncio.Event()
        self._waiting: deque[tuple[float, float, asyncio.Future[Any]]] = deque()
        """When it times out, when it was due, and the answer's future; in the order of sending."""

    @property
    def interrupted(self) -> bool:
        """Return whether it was stopped before its end."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Send nothing more, and do not wait for what is in flight."""
        self._stopping.set()
        self._place_free.set()

    async def run(self, on_progress: Callable[["LoadRun"], None] | None = None) -> None:
        """Return when all requests are answered or timed out, or it was stopped."""
        self.started_s = self.last_s = time.perf_counter()
        helpers = [asyncio.create_task(self._sweep())]
        if on_progress is not None:
            helpers.append(asyncio.create_task(self._tell(on_progress)))
        try:
            await (self._open_loop(self._plan.rate_per_s) if self._plan.rate_per_s else self._closed_loop())
            await self._wait_below(1, None)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for _, _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    async def _open_loop(self, rate_per_s: float) -> None:
        plan, number = self._plan, 0
        end_s = None if plan.seconds is None else self.started_s + plan.seconds
        while plan.requests is None or number < plan.requests:
            due_s = self.started_s + number / rate_per_s
            if end_s is not None and due_s >= end_s:
                return
            now_s = time.perf_counter()
            if due_s > now_s:
                # Tiny sleeps would cost more than they gain: what is due by then goes out together.
                await asyncio.sleep(max(due_s - now_s, SLEEP_SECONDS_MIN))
            if self.in_flight >= plan.in_flight_max:
                await self._wait_below(plan.in_flight_max, end_s)
                if end_s is not None and time.perf_counter() >= end_s and not self.interrupted:
                    last = math.ceil((end_s - self.started_s) * rate_per_s)
                    self.tally.not_sent((last if plan.requests is None else min(last, plan.requests)) - number)
                    return
            if self.interrupted:
                return
            self._send(number, due_s)
            number += 1
            if not number % 256:
                await asyncio.sleep(0)  # when much is due at once, nothing else would let answers in

    async def _closed_loop(self) -> None:
        plan, number = self._plan, 0
        limit = min(plan.concurrency or 1, plan.in_flight_max)
        end_s = None if plan.seconds is None else self.started_s + plan.seconds
        while plan.requests is None or number < plan.requests:
            if self.in_flight >= limit:
                await self._wait_below(limit, end_s)
            now_s = time.perf_counter()
            if self.interrupted or (end_s is not None and now_s >= end_s):
                return
            self._send(number, now_s)
            number += 1

    async def _wait_below(self, in_flight: int, end_s: float | None) -> None:
        """Wait until fewer are in flight, the time is over, or the run was stopped."""
        timer = None
        if end_s is not None:
            delay_s = max(0.0, end_s - time.perf_counter()) + SLEEP_SECONDS_MIN
            timer = asyncio.get_running_loop().call_later(delay_s, self._place_free.set)
        while self.in_flight >= in_flight and not self.interrupted:
            if end_s is not None and time.perf_counter() >= end_s:
                break
            self._place_free.clear()
            await self._place_free.wait()
        if timer is not None:
            timer.cancel()

    def _send(self, number: int, due_s: float) -> None:
        now_s = time.perf_counter()
        self.tally.sent += 1
        self.tally.sent_late_s_max = max(self.tally.sent_late_s_max, now_s - due_s)
        self.in_flight += 1
        answer = self._target.send(number)
        self._waiting.append((now_s + self._plan.timeout_s, due_s, answer))
        answer.add_done_callback(lambda done: self._finish(done, due_s))

    def _finish(self, done: "asyncio.Future[Any]", due_s: float) -> None:
        self.in_flight -= 1
        self._place_free.set()
        self.last_s = time.perf_counter()
        if done.cancelled():
            return
        outcome = self._target.outcome(done)
        if outcome.error is None:
            self.tally.success(self.last_s - due_s, outcome.model_version)
        else:
            self.tally.failure(outcome.error)

    async def _sweep(self) -> None:
        """Drop what is answered from the queue of those that wait, and let time out what waits too long."""
        waiting = self._waiting
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now_s = time.perf_counter()
            while waiting and (waiting[0][2].done() or waiting[0][0] <= now_s):
                _, due_s, answer = waiting.popleft()
                if answer.cancel():
                    self.tally.failure("timeout", waited_s=now_s - due_s)

    async def _tell(self, on_progress: Callable[["LoadRun"], None]) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            on_progress(self)
