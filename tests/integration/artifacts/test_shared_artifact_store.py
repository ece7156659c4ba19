"""Two environments on one cluster with one artifact store, through the command line and on the real log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hotswap_events.registry.events import ArtifactFacts
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.kafka.topic_identity import topic_identity
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.registry import register


class Environment:
    """One prefix, with commands of its own."""

    def __init__(self, kafka: str, prefix: str, folder: Path) -> None:
        self.settings = Settings(
            kafka_bootstrap_servers=kafka,
            topic_prefix=prefix,
            home=folder / prefix,
            artifacts=str(folder / "artifacts"),
            request_partitions=1,
            artifact_grace_seconds=60.0,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command in this environment."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        done = subprocess.run(
            [sys.executable, "-c", "from hotswap_stream.cli import main; main()", *arguments],
            env={
                **inherited,
                "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))),
                "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": str(self.settings.kafka_bootstrap_servers),
                "HOTSWAP_TOPIC_PREFIX": self.settings.topic_prefix,
                "HOTSWAP_HOME": str(self.settings.home),
                "HOTSWAP_ARTIFACTS": str(self.settings.artifacts),
                "HOTSWAP_REQUEST_PARTITIONS": "1",
                "HOTSWAP_ARTIFACT_GRACE_SECONDS": "60",
                "HOTSWAP_GRAPHS_EXPORTED": "false",  # one artifact a version
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done


@pytest.fixture
def environments(kafka: str, topic_prefix: str, tmp_path: Path) -> tuple[Environment, Environment]:
    return Environment(kafka, f"{topic_prefix}-s", tmp_path), Environment(kafka, f"{topic_prefix}-p", tmp_path)


async def test_clean_up_and_reset_leave_what_the_other_environment_needs(
    environments: tuple[Environment, Environment], tmp_path: Path
) -> None:
    """`cleanup` in one environment deleted what was active in the other, and `reset` deleted it all."""
    staging, production = environments
    file = tmp_path / "model.safetensors"
    file.write_bytes(linear_artifact())
    staging.run("register", "m", str(file))
    (artifact,) = await bootstrap.artifact_store(staging.settings).list()
    production.run("register", "m", "--digest", artifact.digest)
    production.run("switch", "m", "v1")
    own = tmp_path / "own.safetensors"
    own.write_bytes(linear_artifact(seed=7))
    staging.run("register", "m", str(own))

    report = json.loads(staging.run("cleanup", "m", "--keep", "0", "--apply", "--json").stdout)[0]
    assert [entry["model_version"] for entry in report["deleted"]] == ["v1", "v2"]
    because = {held["artifact_digest"]: held["because"] for held in report["held"]}
    assert f"{production.settings.topic_prefix}." in because.pop(artifact.digest)
    assert "stays for 60 s" in "".join(because.values())
    assert report["freed_bytes"] == 0

    store = bootstrap.artifact_store(production.settings)
    assert await store.exists(artifact.digest)
    listed = json.loads(production.run("artifacts", "environments", "--json").stdout)
    assert sorted(name.partition(".")[0] for name in listed) == sorted(
        each.settings.topic_prefix for each in environments
    )
    told = staging.run("reset", "--yes").stdout
    assert "deleted" in told
    assert await store.list() == (artifact,), "its own is gone, the other's is there"
    assert "1 artifacts stay" in told
    production.run("reset", "--yes")
    assert await store.list() == ()


async def test_what_was_registered_before_there_were_marks_is_marked_at_the_start(
    environments: tuple[Environment, Environment],
) -> None:
    staging, production = environments
    facts = await _registered(staging.settings)
    references = bootstrap.artifact_store(staging.settings).references
    for name in list(await references.environments()):
        await references.forget(name)
    async with (
        bootstrap.open_registry(staging.settings) as registry,
        bootstrap.adopting(staging.settings, registry) as adopted,
    ):
        await adopted
    assert await references.marked() == {facts.digest}
    assert await bootstrap.artifact_store(production.settings).references.marked() == frozenset()


async def _registered(settings: Settings) -> ArtifactFacts:
    store = bootstrap.artifact_store(settings)
    facts = await store.put_artifact(linear_artifact())
    async with bootstrap.open_registry(settings) as registry:
        assert (await registry.handle(register("v1", artifact=facts))).status == "accepted"
    return facts


async def test_a_topic_made_anew_is_another(kafka: str, topic_prefix: str) -> None:
    connection = KafkaConnection(bootstrap_servers=kafka)
    topics = Topics(topic_prefix)
    specs = [spec for spec in topics.control_specs() if spec.name in (topics.registry, topics.fleet)]
    await ensure_topics(connection, specs)
    found = {await topic_identity(connection, spec.name) for spec in specs}
    assert len(found) == 2
    assert all(len(each) == 22 for each in found)
    assert await topic_identity(connection, topics.registry) in found
    with pytest.raises(LogUnavailableError, match="is not there"):
        await topic_identity(connection, topics.commands)
