"""The broker goes away under a delivery and comes back: what follows is delivered, and nothing before it is lost."""

import asyncio
from pathlib import Path

from hotswap_stream import bootstrap
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.errors import HotswapError
from tests.support.stages.serving import Stage, open_stage
from tests.support.stages.webhooks import caught_up, delivering, register, settings_for
from tests.support.webhook_receiver import SECONDS_MAX, Answer, Receiver


async def registered(stage: Stage, number: int) -> None:
    """Register it, however often that takes; the command has the same id each time."""
    async with asyncio.timeout(SECONDS_MAX):
        while number not in {int(name.removeprefix("v")) for name in stage.registry.state("digits").versions}:
            try:
                await register(stage, number)
            except HotswapError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.2)


async def test_deliveries_go_on_when_the_broker_is_back(tmp_path: Path) -> None:
    async with Receiver() as receiver, EmbeddedKafka() as broker:
        settings = settings_for(broker.bootstrap_servers, "outage", tmp_path, receiver.url())
        async with open_stage(settings) as stage, delivering(settings) as registry:
            await registered(stage, 1)
            await receiver.until(1)
            answered = asyncio.Event()
            receiver.answers["/hook"].append(Answer(hold=answered))
            await registered(stage, 2)
            await receiver.until(2)
            await broker.nodes[0].kill()
            answered.set()  # delivered, but there is nobody to commit it to
            await broker.nodes[0].start()
            await registered(stage, 3)
            await receiver.until(3)
            await caught_up(settings)
            assert registry.healthy
            (place,) = (await bootstrap.webhook_places(settings)).values()
    versions = [each.verified()["data"]["model_version"] for each in receiver.at()]
    assert list(dict.fromkeys(versions)) == ["v1", "v2", "v3"]
    assert versions == sorted(versions)
    assert place.lag == 0
