"""Another cluster answers at the address of the one that was known: its log has the same name, and is another one."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.errors import LogReplacedError
from hotswap_stream.settings import Settings
from tests.support.samples.registry import register

SECONDS_MAX = 90.0


async def test_the_log_of_another_cluster_at_the_same_address_is_refused(tmp_path: Path, unused_tcp_port: int) -> None:
    """A cluster made anew, or another one behind the same name, showed an empty registry with exit code 0."""
    settings = Settings(
        kafka_bootstrap_servers=f"127.0.0.1:{unused_tcp_port}", home=tmp_path / "home", request_partitions=1
    )
    async with asyncio.timeout(SECONDS_MAX):
        async with EmbeddedKafka(ports=[unused_tcp_port]), bootstrap.open_registry(settings) as registry:
            assert (await registry.handle(register("v1"))).status == "accepted"
        async with EmbeddedKafka(ports=[unused_tcp_port]):
            with pytest.raises(LogReplacedError, match="there is no topic"):
                async with bootstrap.open_registry(settings):
                    pass
            # Somebody else, who knows nothing of the one before, uses it.
            async with bootstrap.open_registry(replace(settings, home=tmp_path / "other")) as registry:
                assert (await registry.handle(register("v1"))).status == "accepted"
            with pytest.raises(LogReplacedError, match="there is the log"):
                async with bootstrap.open_registry(settings):
                    pass
            before, now = await bootstrap.accept_log(settings)
            assert before is not None
            assert now is not None
            assert before.identity != now.identity
            async with bootstrap.open_registry(settings) as registry:
                assert list(registry.state("digits").versions) == ["v1"]
