"""A small part of the law, chosen by a seed that is printed: every topic in three kinds, the API, and some files.

The whole is `make hostile`. `HOTSWAP_TEST_HOSTILE_SEED` repeats a selection.
"""

import os
import random
from pathlib import Path

import pytest

from hotswap_stream.settings import Settings
from tests.hostile.cells import chosen
from tests.hostile.file_cells import artifact_cells
from tests.hostile.http_cells import http_matrix
from tests.hostile.report import AnyCell, report_of, table
from tests.hostile.run import Run

PER_PLACE = 3
HTTP_CELLS = 120
ARTIFACTS = 2


@pytest.mark.timeout(900)
async def test_whatever_is_written_the_next_good_record_is_handled(
    kafka: str, tmp_path: Path, record_property: pytest.FixtureRequest
) -> None:
    given = os.environ.get("HOTSWAP_TEST_HOSTILE_SEED")
    seed = random.SystemRandom().randrange(1_000_000) if given is None else int(given)
    print(f"seed {seed}: repeat with HOTSWAP_TEST_HOSTILE_SEED={seed}")  # noqa: T201
    random_ = random.Random(f"hostile/{seed}/selection")
    cells = chosen(seed, per_place=PER_PLACE)
    http, artifacts = random_.sample(http_matrix(), HTTP_CELLS), random_.sample(artifact_cells(), ARTIFACTS)
    told: list[str] = []
    run = Run(
        Settings(kafka_bootstrap_servers=kafka, home=tmp_path),
        say=told.append,
        seconds_max=90.0,  # other tests run beside it
        search_seconds_max=400.0,
        together=True,
    )
    await run.run(cells, seed, http=http, artifacts=artifacts)
    every: list[AnyCell] = [*cells, *http, *artifacts]
    report = report_of(seed, every, run, 0.0)
    assert report.held, table(report)
