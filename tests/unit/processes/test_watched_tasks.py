"""A background task that ends by itself is a failure of its part."""

import asyncio

import pytest

from hotswap_stream.application.processes.watched_tasks import WatchedTasks, first_failure


async def _raise() -> None:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


async def _return() -> None:
    return


async def _run() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("work", "says"), [(_raise, "UnicodeDecodeError"), (_return, "it returned")])
async def test_a_task_that_ends_by_itself_is_told_of(work: object, says: str) -> None:
    tasks, other = WatchedTasks("the fleet topic"), WatchedTasks("something else")
    running = tasks.started(_run(), name="runs")
    other.start(_run(), name="runs, too")
    assert first_failure((other, tasks)) is None
    ended = tasks.started(work(), name="follows")  # type: ignore[operator]
    await asyncio.wait({ended})
    await asyncio.sleep(0)
    failure = first_failure((other, tasks))
    assert failure is not None
    assert failure.retriable
    assert "the fleet topic" in str(failure)
    assert "follows" in str(failure)
    assert says in str(failure)
    await tasks.stop()
    await other.stop()
    assert running.cancelled()
    assert other.failure is None


async def test_a_task_that_somebody_else_cancels_is_missed_too() -> None:
    tasks = WatchedTasks("part")
    task = tasks.started(_run(), name="runs")
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert "it was cancelled" in str(tasks.failure)


async def test_tasks_may_end_when_they_were_told_to() -> None:
    tasks = WatchedTasks("part")
    event = asyncio.Event()

    async def wait() -> None:
        await event.wait()

    task = tasks.started(wait(), name="waits")
    tasks.expect_end()
    event.set()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert tasks.failure is None
