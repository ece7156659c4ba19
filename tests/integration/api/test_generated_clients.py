"""Clients that others' generators make of `schemas/openapi.json` compile, and use the API: TypeScript and Python.

Go and Java take longer, see `long_generated_clients.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.generators.programs import PYTHON, SEEN, TYPESCRIPT
from tests.support.generators.tools import OF_OPENAPI, SECONDS_MAX, generator_of_python, npm_modules, run, run_node
from tests.support.stages.asking import Served, open_served
from tools.generate_schemas import SCHEMAS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(SECONDS_MAX * 2)]

OPENAPI = SCHEMAS / "openapi.json"
KEY = "key-of-ci"
STRICT = ("--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext")
NO_FORM_OF_ITS_OWN = {"application/x-ndjson": "application/octet-stream", "image/svg+xml": "application/octet-stream"}
"""Content types that the generator for Python takes where it is told as what."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with open_served(kafka, tmp_path_factory.mktemp("home"), api_open=None, api_keys=f"ci:{KEY}") as served:
        yield served


async def test_a_client_for_typescript(served: Served, tmp_path: Path) -> None:
    def seen() -> str:
        modules = npm_modules(OF_OPENAPI)
        (tmp_path / "node_modules").symlink_to(modules)
        (tmp_path / "package.json").write_text('{"type": "module"}')
        types = ("--output", "api.ts", "--default-non-nullable=false")
        run_node(modules / "openapi-typescript/bin/cli.js", OPENAPI, *types, cwd=tmp_path)
        (tmp_path / "use.ts").write_text(TYPESCRIPT.replace('"./api"', '"./api.js"'))
        (tmp_path / "node.d.ts").write_text("declare const process: { argv: string[] };\n")
        run_node(modules / "typescript/bin/tsc", *STRICT, "node.d.ts", "use.ts", cwd=tmp_path)
        return run_node(tmp_path / "use.js", served.url, KEY, cwd=tmp_path)

    assert json.loads(await asyncio.to_thread(seen)) == SEEN


async def test_a_client_for_python(served: Served, tmp_path: Path) -> None:
    def seen() -> str:
        programs = generator_of_python()
        (tmp_path / "config.yaml").write_text(
            json.dumps({"content_type_overrides": NO_FORM_OF_ITS_OWN, "post_hooks": []})
        )
        more = ("--output-path", "client", "--meta", "none", "--config", "config.yaml", "--fail-on-warning")
        run((programs / "openapi-python-client", "generate", "--path", OPENAPI, *more), tmp_path)
        (tmp_path / "use.py").write_text(PYTHON)
        return run((programs / "python", "use.py", served.url, KEY), tmp_path)

    assert json.loads(await asyncio.to_thread(seen)) == SEEN
