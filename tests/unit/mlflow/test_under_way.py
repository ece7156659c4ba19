"""Who asks once more, because it did not wait for the answer, gets what the first request brings."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hotswap_stream.application.mlflow.under_way import TooMuchUnderWayError, UnderWay


class Work:
    """Work that is done when it is told to be."""

    def __init__(self) -> None:
        self.begun = 0
        self.finish = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        begun = self.begun
        await self.finish.wait()
        if self.error is not None:
            raise self.error
        return begun


@pytest.fixture
async def under_way() -> AsyncIterator[UnderWay[int]]:
    made = UnderWay[int](under_way_max=2)
    yield made
    await made.close()


async def given_up(asking: "asyncio.Task[int]") -> None:
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_two_who_ask_the_same_share_it_and_the_next_one_does_not(under_way: UnderWay[int]) -> None:
    work = Work()
    both = asyncio.gather(under_way.result("a", work), under_way.result("a", work))
    await settled()
    work.finish.set()
    assert [*await both] == [1, 1]
    assert await under_way.result("a", work) == 2


async def test_who_did_not_wait_gets_it_when_asking_again_once(under_way: UnderWay[int]) -> None:
    work = Work()
    await given_up(asyncio.create_task(under_way.result("a", work)))
    again = asyncio.create_task(under_way.result("a", work))
    await given_up(again)
    work.finish.set()
    await settled()
    assert await under_way.result("a", work) == 1
    assert await under_way.result("a", work) == 2


async def test_a_failure_that_nobody_heard_is_told_too(under_way: UnderWay[int]) -> None:
    work = Work()
    work.error = ValueError("no model")
    await given_up(asyncio.create_task(under_way.result("a", work)))
    work.finish.set()
    await settled()
    with pytest.raises(ValueError, match="no model"):
        await under_way.result("a", work)
    work.error = None
    assert await under_way.result("a", work) == 2


async def test_there_is_a_most_but_what_nobody_heard_makes_room(under_way: UnderWay[int]) -> None:
    works = [Work() for _ in range(3)]
    asking = [asyncio.create_task(under_way.result(number, works[number])) for number in range(2)]
    await settled()
    with pytest.raises(TooMuchUnderWayError, match="the most there may be at once") as error:
        await under_way.result(2, works[2])
    assert error.value.retriable
    asking[0].cancel()
    works[0].finish.set()
    await settled()
    works[2].finish.set()
    assert await under_way.result(2, works[2]) == 1
    assert not asking[1].done()


async def test_nothing_goes_on_after_the_end() -> None:
    under_way, work = UnderWay[int](), Work()
    asking = asyncio.create_task(under_way.result("a", work))
    await settled()
    await under_way.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert work.begun == 1


async def test_what_nobody_asks_for_again_is_forgotten() -> None:
    under_way, work = UnderWay[int](kept_seconds=0), Work()
    await given_up(asyncio.create_task(under_way.result("a", work)))
    work.finish.set()
    await settled()
    assert await under_way.result("a", work) == 2
