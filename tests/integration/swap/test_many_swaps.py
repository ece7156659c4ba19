"""Swap after swap in a worker's process, some to versions that do not load: its memory stays what it was."""

import asyncio
from pathlib import Path
from statistics import median

import pytest

from benchmarks.serving_processes import put_into_production
from benchmarks.thousand_swaps import FAILING_EVERY, swap_through
from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.settings import Settings

SWAPS = 40
GROWTH_MAX = 0.25
"""A share of the whole process. Versions that stayed in memory would add 18 MB each."""


@pytest.mark.timeout(400)
def test_memory_does_not_grow_with_swaps_and_failed_loads(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = Settings(
        kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, home=tmp_path, request_partitions=2, executor="eager"
    )
    manifest = manifest_of("linear", {"features": 512, "outputs": 9000})

    async def swap() -> tuple[list[int], int, int]:
        stage = await put_into_production(settings, "swapped", manifest)
        found = await swap_through(stage, SWAPS)
        return found.resident, found.rolled_back, found.answers

    resident, rolled_back, answers = asyncio.run(swap())
    assert rolled_back == SWAPS // FAILING_EVERY
    assert answers > 0
    assert median(resident[-10:]) < median(resident[10:20]) * (1 + GROWTH_MAX)
