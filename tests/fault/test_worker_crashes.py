"""Workers killed, stopped and woken while requests stream in and versions swap: one valid answer each, in order."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from hotswap_stream.application.supervision import ProcessSpec, Supervisor
from hotswap_stream.settings import child_environment
from hotswap_stream.workers.inference.model_loop import SESSION_TIMEOUT_MS
from tests.fault.answer_check import judge, read_all, versions_chosen
from tests.integration.serving_stage import MODEL, PARTITIONS, open_stage, request_body, stage_settings

SEED = 20_261
SECONDS_MAX = 100.0


@pytest.mark.timeout(240)
async def test_every_request_is_answered_once_through_kills_and_a_zombie(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    seeded = random.Random(SEED)
    specs = [
        ProcessSpec(
            name=name,
            argv=[sys.executable, "-m", "hotswap_stream.cli", "worker", "--name", name],
            env=child_environment(settings),
            log_file=tmp_path / f"{name}.log",
        )
        for name in ("w1", "w2")
    ]
    sent = dict.fromkeys(range(PARTITIONS), 0)
    stop = asyncio.Event()
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")

        async def stream() -> None:
            number = 0
            while not stop.is_set():
                partition = number % PARTITIONS
                assert await stage.send(request_body(str(number)), partition=partition) == sent[partition]
                sent[partition] += 1
                number += 1
                await asyncio.sleep(0.005)

        async def swap() -> None:
            version = 1
            while not stop.is_set():
                await asyncio.sleep(seeded.uniform(0.5, 1.5))
                version = 3 - version
                await stage.switch(f"v{version}")

        async with Supervisor(specs) as supervisor, stage.reading() as answers:
            background = [asyncio.create_task(stream()), asyncio.create_task(swap())]

            async def all_answered_from_now() -> None:
                """Every request sent up to now has an answer."""
                due = dict(sent)
                await answers.until(
                    lambda: all(
                        any(a["parameters"]["request_offset"] >= count - 1 for a in reversed(answers.by_partition[p]))
                        for p, count in due.items()
                    ),
                    SECONDS_MAX,
                )

            def pid(name: str) -> int:
                found = supervisor.status(name).pid
                assert found is not None
                return found

            await all_answered_from_now()
            for name in ("w1", "w2", "w1"):
                await asyncio.sleep(seeded.uniform(0.2, 1.0))
                os.killpg(pid(name), signal.SIGKILL)
                await all_answered_from_now()
            # A zombie: stopped until the group has given its partitions away, then woken with a batch in its hands.
            zombie = pid("w2")
            os.killpg(zombie, signal.SIGSTOP)
            try:
                await asyncio.sleep(SESSION_TIMEOUT_MS / 1000 + 2)
                await all_answered_from_now()
            finally:
                os.killpg(zombie, signal.SIGCONT)
            await asyncio.sleep(1.0)
            stop.set()
            for task in background:
                await task
            await all_answered_from_now()
            restarts = sum(status.restarts for status in supervisor.statuses())
        log = [record async for page in stage.registry.log.read(0, 1 << 62) for record in page]
    verdict = judge(sent, await read_all(kafka, stage.topics.responses(MODEL), PARTITIONS), versions_chosen(log, MODEL))
    assert verdict.problems == []
    assert verdict.valid == verdict.requests > 500
    assert restarts >= 3
