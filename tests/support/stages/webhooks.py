"""Webhooks that are delivered without the agents, and events for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from hotswap_events.commands import RegisterVersion
from hotswap_stream import bootstrap
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.webhooks.retry import RetryRule
from hotswap_stream.settings import Settings
from tests.support.samples.registry import IMPORTED, artifact_of
from tests.support.stages.serving import Stage
from tests.support.webhook_receiver import SECONDS_MAX, SECRET

QUICK = RetryRule(seconds_max=3_600.0, pause_seconds_first=0.01, pause_seconds_max=0.02, retry_after_seconds_max=0.02)
IMPATIENT = msgspec.structs.replace(QUICK, seconds_max=0.0)


def settings_for(kafka: str, prefix: str, home: Path, urls: str | None, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "webhook_secret": SECRET,
        "webhook_events": "hotswap.model.trained.v1",
        "webhook_timeout_ms": 5_000,
    }
    return Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=prefix,
        home=home,
        request_partitions=1,
        webhook_urls=urls,
        **(values | changes),
    )


@asynccontextmanager
async def delivering(settings: Settings, rule: RetryRule = QUICK) -> AsyncIterator[Registry]:
    """What the agents do for webhooks, without the agents; returns when each webhook has a place."""
    await bootstrap.ensure_control_topics(settings)
    registry, stop = bootstrap.build_registry(settings, "test-webhooks"), asyncio.Event()
    async with bootstrap.webhook_deliveries(settings, registry, rule=rule) as deliveries:
        try:
            await registry.start()
            deliveries.begin(stop)
            async with asyncio.timeout(SECONDS_MAX):
                while any(place.next_offset is None for place in (await bootstrap.webhook_places(settings)).values()):
                    await asyncio.sleep(0.05)
            yield registry
        finally:
            stop.set()
            await deliveries.end()
            await registry.stop()


async def caught_up(settings: Settings) -> None:
    """Wait until every webhook was told of all there is."""
    async with asyncio.timeout(SECONDS_MAX):
        while any(place.lag != 0 for place in (await bootstrap.webhook_places(settings)).values()):
            await asyncio.sleep(0.05)


async def register(stage: Stage, number: int, *, model_name: str = "digits") -> LogRecord:
    """One event of the pattern; its record."""
    command = RegisterVersion(
        command_id=f"register-{model_name}-{number}",
        actor="test",
        model_name=model_name,
        artifact=artifact_of(f"v{number}"),
        provenance=IMPORTED,
    )
    result = await stage.command(command)
    assert result.offset is not None
    return next(entry.record for entry in stage.registry.tail if entry.record.offset == result.offset)
