"""The broker goes away under a client and a worker and comes back: the client asks on without being made anew."""

import asyncio
from pathlib import Path
from time import monotonic

from hotswap_stream import bootstrap
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.client import Inference, TopicClient
from hotswap_stream.errors import HotswapError
from tests.support.stages.serving import MODEL, open_stage, stage_settings

DEADLINE_SECONDS = 60.0
ROW = [[1.0, 2.0, 3.0, 4.0]]


async def retried(client: TopicClient) -> Inference:
    deadline = monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return await client.infer(MODEL, {"x": ROW}, timeout_s=2.0)
        except HotswapError as error:
            if not error.retriable or monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def test_a_client_asks_on_after_the_broker_was_killed(tmp_path: Path) -> None:
    async with EmbeddedKafka() as broker:
        settings = stage_settings(broker.bootstrap_servers, "outage", tmp_path)
        async with open_stage(settings) as stage:
            await stage.register_answering(1.0)
            await stage.switch("v1")
            worker = await bootstrap.build_worker(settings, "w1")
            await worker.start()
            try:
                async with TopicClient(broker.bootstrap_servers, prefix="outage") as client:
                    await client.infer(MODEL, {"x": ROW})
                    pending = [asyncio.create_task(client.infer(MODEL, {"x": ROW}, timeout_s=30)) for _ in range(20)]
                    await broker.nodes[0].kill()
                    await broker.nodes[0].start()
                    assert (await retried(client)).model_version == "v1"
                    for outcome in await asyncio.gather(*pending, return_exceptions=True):
                        assert isinstance(outcome, Inference) or (
                            isinstance(outcome, HotswapError) and outcome.retriable
                        ), outcome
                    answers = await asyncio.gather(*[client.infer(MODEL, {"x": ROW}) for _ in range(50)])
                    assert len({(answer.partition, answer.offset) for answer in answers}) == 50
            finally:
                await worker.stop()
