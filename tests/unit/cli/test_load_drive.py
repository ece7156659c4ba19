"""The load test's two loops, against a target that answers when the test says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hotswap_stream.client.load.drive import LoadPlan, LoadRun, Outcome


class Target:
    """Answers each request after a time; `still_s` holds all back for a while from the first one on."""

    def __init__(self, answer_s: float = 0.0, *, still_s: float = 0.0, error: str | None = None) -> None:
        self.sent: list[int] = []
        self.in_flight = self.in_flight_most = 0
        self.answer_s = answer_s
        self.still_s, self.still_until_s = still_s, 0.0
        self.error = error

    def send(self, number: int) -> "asyncio.Future[Any]":
        if not self.sent:
            self.still_until_s = asyncio.get_running_loop().time() + self.still_s
        self.sent.append(number)
        self.in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self.in_flight)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        answer.add_done_callback(self._count)
        at = max(loop.time() + self.answer_s, self.still_until_s)
        loop.call_at(at, self._give, answer, number)
        return answer

    @staticmethod
    def _give(answer: "asyncio.Future[Any]", number: int) -> None:
        if not answer.done():
            answer.set_result(number)

    def _count(self, _: "asyncio.Future[Any]") -> None:
        self.in_flight -= 1

    def outcome(self, done: "asyncio.Future[Any]") -> Outcome:
        return Outcome(error=self.error) if self.error else Outcome(model_version=f"v{done.result() % 2}")


async def test_an_open_loop_counts_the_time_that_requests_had_to_wait_to_be_sent() -> None:
    """The target stands still for half a second and takes one request at a time: all that was due then is slow."""
    target = Target(still_s=0.5)
    run = LoadRun(target, LoadPlan(rate_per_s=200, requests=100, in_flight_max=1))
    await run.run()
    latencies = run.tally.latencies()
    assert latencies is not None
    assert run.tally.succeeded == 100
    assert latencies.max >= 490
    # Sent one after the other after the stand-still, each was answered at once; but they were due long before.
    assert latencies.p50 >= 150
    assert run.tally.sent_late_s_max >= 0.4
    assert target.in_flight_most == 1


async def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    target = Target(0.001)
    run = LoadRun(target, LoadPlan(concurrency=7, requests=200))
    await run.run()
    assert target.in_flight_most == 7
    assert target.sent == list(range(200))
    assert (run.tally.succeeded, run.in_flight) == (200, 0)
    assert run.tally.versions == {"v0": 100, "v1": 100}
    assert not run.interrupted


async def test_what_times_out_counts_with_the_time_it_waited() -> None:
    target = Target(60.0)
    run = LoadRun(target, LoadPlan(concurrency=3, requests=6, timeout_s=0.2))
    await run.run()
    latencies = run.tally.latencies()
    assert latencies is not None
    assert run.tally.errors == {"timeout": 6}
    assert latencies.p50 >= 199
    assert target.in_flight == 0, "nobody waits any more"


async def test_errors_count_by_kind_and_not_as_latency() -> None:
    run = LoadRun(Target(error="wrong-input"), LoadPlan(concurrency=2, requests=10))
    await run.run()
    assert (run.tally.errors, run.tally.latencies()) == ({"wrong-input": 10}, None)


async def test_what_was_due_and_found_no_place_is_reported() -> None:
    target = Target(60.0)
    run = LoadRun(target, LoadPlan(rate_per_s=100, seconds=0.5, in_flight_max=5, timeout_s=0.6))
    await run.run()
    assert run.tally.errors == {"timeout": 5, "not-sent": 45}


@pytest.mark.parametrize("plan", [LoadPlan(rate_per_s=50, seconds=60), LoadPlan(concurrency=2, seconds=60)])
async def test_it_can_be_stopped_and_tells_what_is_unfinished(plan: LoadPlan) -> None:
    target = Target(60.0)
    run = LoadRun(target, plan)
    running = asyncio.create_task(run.run())
    while len(target.sent) < 2:
        await asyncio.sleep(0.01)
    run.stop()
    await running
    assert run.interrupted
    assert run.tally.sent - run.tally.finished >= 2
    await asyncio.sleep(0)
    assert target.in_flight == 0


async def test_progress_is_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotswap_stream.client.load.drive.PROGRESS_SECONDS", 0.01)
    told: list[int] = []
    tell: Callable[[LoadRun], None] = lambda run: told.append(run.tally.finished)  # noqa: E731
    await LoadRun(Target(0.001), LoadPlan(rate_per_s=100, seconds=0.3)).run(tell)
    assert told == sorted(told)
    assert told[-1] > 0


@pytest.mark.parametrize("wrong", [{}, {"rate_per_s": 1.0, "concurrency": 1, "seconds": 1.0}, {"rate_per_s": 1.0}])
def test_a_plan_needs_a_pace_and_an_end(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needed"):
        LoadPlan(**wrong)
