"""Timeouts of equal durations share a timer, and end what `asyncio.timeout` would end."""

import asyncio
from collections.abc import Callable

import pytest

from hotswap_stream.application.processes.shared_timeouts import DURATIONS_MAX, SharedTimeouts

SOON, LATE = 0.01, 60.0


async def test_a_block_that_lasts_too_long_is_a_timeout_error() -> None:
    timeouts = SharedTimeouts()
    with pytest.raises(TimeoutError), timeouts.within(SOON):
        await asyncio.sleep(LATE)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with timeouts.within(SOON):
        pass
    await asyncio.sleep(3 * SOON)  # the timer finds nobody


async def test_each_of_many_is_ended_for_itself() -> None:
    timeouts = SharedTimeouts()

    async def block(number: int) -> str:
        try:
            with timeouts.within(SOON):
                await asyncio.sleep(0 if number % 2 else LATE)
        except TimeoutError:
            return "ended"
        return "done"

    found = await asyncio.gather(*(block(number) for number in range(10)))
    assert found == ["ended", "done"] * 5
    # And again, by a timer that had nothing to wait for meanwhile.
    assert await block(0) == "ended"


async def test_who_cancels_the_task_is_heard_and_not_taken_for_the_time() -> None:
    timeouts = SharedTimeouts()

    async def block(seconds: float) -> None:
        with timeouts.within(seconds):
            await asyncio.sleep(LATE)

    task = asyncio.create_task(block(LATE))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    both = asyncio.create_task(block(SOON))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(SOON, both.cancel)
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await both


async def test_blocks_within_blocks_end_by_the_one_whose_time_is_over() -> None:
    timeouts = SharedTimeouts()
    with pytest.raises(TimeoutError), timeouts.within(SOON), timeouts.within(LATE):
        await asyncio.sleep(LATE)
    with timeouts.within(LATE):
        with pytest.raises(TimeoutError), timeouts.within(SOON):
            await asyncio.sleep(LATE)
        await asyncio.sleep(0)


async def test_an_error_in_the_block_stays_itself() -> None:
    with pytest.raises(ValueError, match="of the block"), SharedTimeouts().within(LATE):
        raise ValueError("of the block")


@pytest.mark.parametrize("of", [lambda n: SOON + n / 1e6, lambda _n: 0.0])
async def test_any_number_of_durations_is_kept_to(of: Callable[[int], float]) -> None:
    timeouts = SharedTimeouts()
    for number in range(2 * DURATIONS_MAX):
        with pytest.raises(TimeoutError), timeouts.within(of(number)):
            await asyncio.sleep(LATE)


def test_it_is_for_tasks() -> None:
    async def call() -> None:
        raised = asyncio.get_running_loop().create_future()

        def outside() -> None:
            try:
                with SharedTimeouts().within(LATE):
                    raised.set_result(None)
            except RuntimeError as error:
                raised.set_exception(error)

        asyncio.get_running_loop().call_soon(outside)
        await raised

    with pytest.raises(RuntimeError, match="needs a task"):
        asyncio.run(call())
