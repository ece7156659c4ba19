"""Models that Modelina makes of `schemas/asyncapi.yaml` compile; `make generators` runs this."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.generators.programs import MODELINA
from tests.support.generators.tools import OF_ASYNCAPI, SECONDS_MAX, npm_modules, run, run_node
from tools.generate_schemas import SCHEMAS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX * 2)]

ASYNCAPI = SCHEMAS / "asyncapi.yaml"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modelina")
    (folder / "node_modules").symlink_to(npm_modules(OF_ASYNCAPI))
    (folder / "models.mjs").write_text(MODELINA)
    run_node(folder / "models.mjs", ASYNCAPI, cwd=folder)
    return folder


def events() -> list[str]:
    """What the messages of the registry's log carry, by the names of their schemas."""
    document = yaml.safe_load(ASYNCAPI.read_text())
    return [name for name in document["components"]["schemas"] if name.endswith(("Promoted", "Registered"))]


def test_typescript_compiles_and_knows_every_message(models: Path) -> None:
    made = {path.stem for path in (models / "ts").iterdir()}
    assert set(events()) <= made
    options = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext")
    run_node(models / "node_modules/typescript/bin/tsc", *options, *(models / "ts").iterdir(), cwd=models)


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go on the path")
def test_go_compiles(models: Path) -> None:
    assert len(list((models / "go").iterdir())) > len(events())
    (models / "go/go.mod").write_text("module hotswap\n\ngo 1.22\n")
    run(("go", "vet", "./..."), models / "go")
