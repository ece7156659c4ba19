"""A worker killed with SIGKILL: what it had sent stays right, and what is missing is less than what came since."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hotswap_stream.settings import Settings, child_environment
from tests.support.samples.torch_artifacts import artifact_scoring
from tests.support.stages.observations import reading, send
from tests.support.stages.serving import PARTITIONS, open_stage, stage_settings


@contextmanager
def worker_process(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    environment = child_environment(settings)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = (sys.executable, "-m", "hotswap_stream.cli", "worker", "--name", "w1")
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_a_killed_worker_loses_only_what_it_had_not_yet_sent(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    async with open_stage(settings) as stage, reading(settings, stage.topics.observations) as seen:
        await stage.register(await stage.store.put_artifact(artifact_scoring(0.9, 0.1)))
        await stage.switch("v1")
        async with stage.reading() as answers:
            with worker_process(settings) as worker:
                await send(stage, 20)
                await answers.until_count(20 // PARTITIONS)
                await seen.until(lambda: seen.answers() == 20)
                await send(stage, 20, first=20)
                await answers.until_count(40 // PARTITIONS)
                worker.kill()
            (first,) = {each.worker_run for each in seen.observations()}
            with worker_process(settings):
                await send(stage, 20, first=40)
                await answers.until_count(60 // PARTITIONS)
                await seen.until(
                    lambda: seen.answers() - seen.answers(worker_run=first) == 20,
                )
    assert 20 <= seen.answers(worker_run=first) <= 40
    numbers: dict[str, list[int]] = defaultdict(list)
    for each in seen.observations():
        numbers[each.worker_run].append(each.sequence)
    assert len(numbers) == 2
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
