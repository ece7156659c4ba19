"""A model's loop without a broker: life after life, until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from structlog.testing import capture_logs

from hotswap_stream.workers.inference.loop.model_loop import ModelLoop
from hotswap_stream.workers.inference.loop.parts import LoopParts
from tests.support.stages.model_loop import MODEL, Host, loop_parts

END_SECONDS_MAX = 60.0


@asynccontextmanager
async def running(parts: LoopParts) -> AsyncIterator[None]:
    """A loop that is told to stop at the end, and ends."""
    loop = ModelLoop(parts)
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        loop.request_stop()
        async with asyncio.timeout(END_SECONDS_MAX):
            await task


async def test_it_ends_when_told_though_no_broker_is_there(unused_tcp_port: int) -> None:
    async with loop_parts(f"127.0.0.1:{unused_tcp_port}") as parts:
        async with running(parts):
            await asyncio.sleep(1)
        assert isinstance(parts.host, Host)
        assert parts.host.partitions == [()]


async def test_a_life_that_ends_by_an_error_is_followed_by_another(unused_tcp_port: int) -> None:
    """None of them can begin: librdkafka knows no such property."""
    async with loop_parts(f"127.0.0.1:{unused_tcp_port}") as parts:
        host = parts.host
        assert isinstance(host, Host)
        options = {**parts.config.librdkafka_options, "no.such.property": "1"}
        parts = msgspec.structs.replace(parts, config=msgspec.structs.replace(parts.config, librdkafka_options=options))
        with capture_logs() as logs:
            async with running(parts), asyncio.timeout(END_SECONDS_MAX):
                while len(host.partitions) < 3:
                    await asyncio.sleep(0.05)
        said = [entry for entry in logs if entry["event"] == "model_loop_restarted"]
        assert len(said) >= 3
        assert {entry["model_name"] for entry in said} == {MODEL}
        assert all("no.such.property" in entry["error"] for entry in said)
        assert set(host.partitions) == {()}
