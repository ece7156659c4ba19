"""What the serving benchmarks run on: a broker, a model in production, and the product's own processes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.artifacts.manifest import Argument, ArtifactManifest
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.client.load.drive import LoadPlan
from hotswap_stream.client.load.model_inputs import inputs_of_manifest
from hotswap_stream.client.load.session import LoadSubject, load_by_http, load_by_topic, run_load
from hotswap_stream.client.load.tally import LoadReport
from hotswap_stream.settings import Settings, child_environment

READY_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 20.0


class Served:
    """A model in production; processes of the product that end with the block that started them."""

    def __init__(
        self,
        settings: Settings,
        model_name: str,
        manifest: ArtifactManifest,
        artifact: ArtifactFacts,
        graph: ArtifactFacts | None = None,
    ) -> None:
        self.settings, self.model_name, self.manifest, self.artifact = settings, model_name, manifest, artifact
        self.graph = graph
        self.inputs = inputs_of_manifest(manifest)

    @contextmanager
    def command(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """Start a command of the product, such as `worker`."""
        with process((sys.executable, "-m", "hotswap_stream.cli", *arguments), self.settings) as started:
            yield started

    async def by_http(self, url: str, plan: LoadPlan) -> LoadReport:
        """Run a load test over HTTP, with raw tensors."""
        subject = LoadSubject(model_name=self.model_name, body_format="binary")
        async with load_by_http(url, subject, plan) as target:
            return _checked(await run_load(target, subject, plan, target_name=url))

    async def by_topic(self, plan: LoadPlan) -> LoadReport:
        """Run a load test by topic, with raw tensors."""
        subject = LoadSubject(model_name=self.model_name, body_format="msgpack")
        gateway = bootstrap.inference_gateway(self.settings, in_flight_max=plan.in_flight_max)
        async with load_by_topic(gateway, self.inputs, subject, plan) as target:
            return _checked(await run_load(target, subject, plan, target_name="topics"))

    async def until_answered(self) -> None:
        """Wait for the worker's first answer."""
        plan = LoadPlan(concurrency=1, requests=1, timeout_s=READY_SECONDS_MAX)
        await self.by_topic(plan)


def _checked(report: LoadReport) -> LoadReport:
    assert not report.errors, report
    return report


@contextmanager
def process(arguments: Sequence[str], settings: Settings, *, quiet: bool = False) -> "Iterator[subprocess.Popen[str]]":
    """Run a process that writes its first line to standard output when it is ready, if it writes any.

    `quiet`: its log is full of errors that are meant, and goes nowhere.
    """
    environment = child_environment(settings)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    log = subprocess.DEVNULL if quiet else None
    started = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        if started.stdout is not None:
            started.stdout.close()


def url_of(started: "subprocess.Popen[str]") -> str:
    """Return the URL in the first line that a server writes. Raise RuntimeError if it ended instead."""
    output: IO[str] | None = started.stdout
    line = output.readline() if output is not None else ""
    words = [word.rstrip(";") for word in line.split() if word.startswith("http://")]
    if not words:
        raise RuntimeError(f"the server did not start: {line!r}")
    return words[0]


async def put_into_production(
    settings: Settings, model_name: str, manifest: ArtifactManifest, *, exported: bool = False
) -> Served:
    """Register a first version of an architecture, and switch to it; `exported`: with its graph."""
    content = save_module(build_module(manifest.architecture, manifest.arguments), manifest)
    return await put_artifact_into_production(settings, model_name, content, exported=exported)


async def put_artifact_into_production(
    settings: Settings, model_name: str, content: bytes, *, exported: bool = False
) -> Served:
    """Register an artifact as the first version of a model, and switch to it; `exported`: with its graph."""
    manifest = read_manifest(content)
    store = bootstrap.artifact_store(settings)
    artifact = await store.put_artifact(content)
    del content
    graph = await bootstrap.graph_exporter(settings, store)(artifact.digest, manifest) if exported else None
    async with bootstrap.open_registry(settings, "benchmark") as registry:
        registered = await registry.handle(
            RegisterVersion(
                command_id="register",
                actor="benchmark",
                model_name=model_name,
                artifact=artifact,
                graph=graph,
                provenance=Provenance(origin="imported", created_by="benchmark"),
            )
        )
        assert registered.model_version is not None, registered
        switched = await registry.handle(
            SwitchVersion(
                command_id="switch",
                actor="benchmark",
                model_name=model_name,
                model_version=registered.model_version,
            )
        )
        assert switched.status == "accepted", switched
    return Served(settings, model_name, manifest, artifact, graph)


@asynccontextmanager
async def served(
    model_name: str,
    architecture: str,
    arguments: Mapping[str, Argument] | None = None,
    *,
    partitions: int = 4,
    exported: bool = False,
) -> AsyncIterator[Served]:
    """Run a broker with one model in production, untrained: its speed is that of a trained one."""
    async with broker_settings(partitions) as settings:
        yield await put_into_production(
            settings, model_name, manifest_of(architecture, arguments or {}), exported=exported
        )


@asynccontextmanager
async def broker_settings(partitions: int) -> AsyncIterator[Settings]:
    """Run a broker, for models with that number of partitions, in a folder that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="hotswap-bench-") as home:
        async with EmbeddedKafka() as broker:
            yield Settings(
                api_open="loopback",
                kafka_bootstrap_servers=broker.bootstrap_servers,
                home=Path(home),
                request_partitions=partitions,
                log_level="warning",
            )
