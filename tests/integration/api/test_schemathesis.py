"""Every operation by the OpenAPI document: schemathesis asks, and what comes back must be what the document says."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.stages.asking import Served, open_served

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES_MAX = os.environ.get("HOTSWAP_TEST_SCHEMATHESIS_EXAMPLES")
"""Examples of each operation. With it the phase `coverage`, too, which tries every bound of every field: minutes."""
PHASES = "fuzzing,stateful" if EXAMPLES_MAX is None else "coverage,fuzzing,stateful"
KEY = "key-of-ci"
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    # Closed, so that schemathesis also tries without a key, and with a wrong one.
    folder = tmp_path_factory.mktemp("schemathesis")
    async with open_served(kafka, folder, api_open=None, api_keys=f"ci:{KEY}") as served:
        yield served


@pytest.mark.timeout(1_800)
async def test_schemathesis_finds_nothing(served: Served, tmp_path: Path) -> None:
    command = (
        "run",
        f"{served.url}/schema/openapi.json",
        "--checks=all",
        f"--max-examples={EXAMPLES_MAX or 1}",
        f"--phases={PHASES}",
        "--generation-deterministic",
        "--no-color",
        "--continue-on-failure",
        "--request-timeout=120",
        f"--header=X-API-Key: {KEY}",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(CONFIG),
        *command,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode()
    if keep := os.environ.get("HOTSWAP_TEST_SCHEMATHESIS_OUTPUT"):
        await asyncio.to_thread(Path(keep).write_text, text)
    assert process.returncode == 0, text[-20_000:]
