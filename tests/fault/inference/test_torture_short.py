"""A short torture run: kills, a zombie, workers that come and go, and swaps, under a stream of requests."""

import subprocess
import sys
from pathlib import Path

import pytest

from hotswap_stream.settings import Settings
from tests.torture.plan import SHORT, schedule
from tests.torture.run import Torture

SEED = 20_261


@pytest.mark.timeout(300)
async def test_every_request_is_answered_once_through_faults_and_swaps(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=tmp_path,
        request_partitions=SHORT.partitions,
        graphs_exported=False,
        log_format="json",
    )
    told: list[str] = []
    steps = schedule(SEED, SHORT, 1)
    verdict = await Torture(settings, SHORT, steps, SEED, cluster=None, say=told.append).run()
    assert verdict.problems == {}, "\n".join([*verdict.examples, *told])
    assert verdict.passed, verdict.examples
    assert verdict.requests >= SHORT.requests_min
    assert verdict.answers == verdict.requests + verdict.requests_written_twice
    assert 0 < verdict.error_answers == verdict.dead_letters < verdict.ok_answers
    assert sum(verdict.faults.values()) == SHORT.faults
    assert verdict.swaps > 5
    assert verdict.run is not None
    assert verdict.run.unplanned_worker_ends == 0
    assert any(said.partitions for said in verdict.run.said), "what gaps are made of is told by what the workers log"


def test_the_checker_says_when_it_cannot_judge(kafka: str, topic_prefix: str) -> None:
    argv = [sys.executable, "-m", "tests.torture.check", "--bootstrap", kafka, "--prefix", topic_prefix]
    finished = subprocess.run(argv, capture_output=True, timeout=100, check=False)
    assert finished.returncode == 2
    assert b"nothing can be said" in finished.stderr
    assert finished.stdout == b""
