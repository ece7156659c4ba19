"""Work in the side loop: another thread, cancelled with whoever waits, closed where it was opened."""

import asyncio
import sys
import threading

import pytest

from hotswap_stream.application.processes.side_loop import SideLoop, SideLoopClosedError


async def test_work_runs_in_another_thread_and_gives_its_result_or_error() -> None:
    side = SideLoop()

    async def where(*, fails: bool) -> int:
        await asyncio.sleep(0)
        if fails:
            raise ValueError("as it came")
        return threading.get_ident()

    first, second = await side.run(lambda: where(fails=False)), await side.run(lambda: where(fails=False))
    assert first == second != threading.get_ident()
    with pytest.raises(ValueError, match="as it came"):
        await side.run(lambda: where(fails=True))
    await side.close()


async def test_cancelling_whoever_waits_cancels_the_work() -> None:
    side, began, ended = SideLoop(), threading.Event(), threading.Event()

    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(side.run(endless))
    assert await asyncio.to_thread(began.wait, 10)
    waiting.cancel()
    assert await asyncio.to_thread(ended.wait, 10)
    await side.close()


async def test_the_end_cancels_what_runs_and_closes_what_was_opened_in_its_own_thread() -> None:
    side, closed_in = SideLoop(), list[int]()
    interval = sys.getswitchinterval()

    async def close(number: int) -> None:
        closed_in.extend((number, threading.get_ident()))

    async def begin() -> int:
        side.call_at_end(lambda: close(1))
        side.call_at_end(lambda: close(2))
        return threading.get_ident()

    there = await side.run(begin)
    assert sys.getswitchinterval() < interval
    waiting = asyncio.create_task(side.run(asyncio.Event().wait))
    await asyncio.sleep(0)
    await side.close()
    assert closed_in == [2, there, 1, there]
    assert sys.getswitchinterval() == interval
    with pytest.raises((asyncio.CancelledError, SideLoopClosedError)):
        await waiting
    with pytest.raises(SideLoopClosedError):
        await side.run(begin)


async def test_one_that_did_nothing_has_nothing_to_end() -> None:
    before = threading.active_count()
    await SideLoop().close()
    assert threading.active_count() == before
