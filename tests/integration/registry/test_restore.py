"""A registry that is lost with all its topics and comes back from its export, by the commands of the guide."""

import asyncio
import re
import shlex
from contextlib import suppress
from pathlib import Path

import pytest

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.record_writer import restoring_topic
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.application.audit.export import read_export
from hotswap_stream.application.audit.restoring import RestoreRefusedError
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.topics.check import TopicSettingsError
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.kafka.transactions import transaction
from tests.support.samples.artifacts import linear_artifact
from tests.support.stages.command_line import Cli, command_line
from tests.support.stages.serving import stage_settings

GUIDE = ROOT / "docs" / "guides" / "back-up-the-registry.md"
FOREIGN = b"not an event, and committed"


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
def here(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
        "HOTSWAP_HOME": str(tmp_path / "home"),
        "HOTSWAP_GRAPHS_EXPORTED": "false",
    }


@pytest.fixture
def exported(settings: Settings, here: dict[str, str], kafka: str, tmp_path: Path) -> Path:
    """An export of a log to which others wrote, too, some of it taken back."""
    registry, artifact, export = bootstrap.topics(settings).registry, tmp_path / "linear", tmp_path / "log.jsonl"
    artifact.write_bytes(linear_artifact())
    with command_line(here) as cli:
        cli("register", "linear", str(artifact), "--reason", "the first")
        asyncio.run(transaction(kafka, registry, b"taken back"))
        asyncio.run(transaction(kafka, registry, FOREIGN, end="committed", key=None))
        cli("switch", "linear", "v1")
        cli("tag", "linear", "place=here")
        cli("audit", "export", str(export))
    return export


def _commands(heading: str) -> list[list[str]]:
    """The commands in a section of the guide, as words."""
    _, _, after = GUIDE.read_text(encoding="utf-8").partition(f"## {heading}\n")
    section, _, _ = after.partition("\n## ")
    return [shlex.split(shown) for shown in re.findall(r"^ +hotswap-stream (.+)$", section, re.MULTILINE)]


def _records(settings: Settings) -> list[LogRecord]:
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> list[LogRecord]:
    log = KafkaRegistryLog(bootstrap.connection(settings), bootstrap.topics(settings).registry, reads_only=True)
    await log.start()
    try:
        return [record async for page in log.read(0, await log.end_offset()) for record in page]
    finally:
        await log.stop()


@pytest.mark.timeout(300)
def test_the_guide_brings_a_lost_registry_back(
    settings: Settings, here: dict[str, str], exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with command_line(here) as cli:
        exported.unlink()
        backed_up = [cli(*words).output for words in _commands("Back up")]
        (seal,) = re.findall(r"seal ([0-9a-f]{64})", backed_up[0])
        before, models = _records(settings), cli("models", "--json").stdout
        assert [record.value for record in before if record.key is None] == [FOREIGN]
        assert len(before) < before[-1].offset + 1, "some offsets have no record"

        asyncio.run(bootstrap.delete_topics(settings))
        assert "not the one that was seen" in cli("models", code=None).output
        _is_refused(cli, exported.read_bytes().replace(b"the first", b"the third"), tmp_path)

        said = {
            " ".join(words[:2]): cli(*(word.replace("SEAL", seal) for word in words)).output
            for words in _commands("Restore")
        }
        assert said.keys() == {"registry restore", "audit verify", "registry accept", "topics", "models"}
        assert f"{len(before)} records, {len(before)} of them written now; seal {seal}" in said["registry restore"]
        assert f"seal {seal}" in said["audit verify"]

        assert _records(settings) == before, "offsets, times, keys and bytes"
        assert cli("models", "--json").stdout == models
        assert cli("models", "--as-of", "1", "--json").stdout != models
        assert "LogAppendTime" in cli("topics", "--json").stdout
        cli("tag", "linear", "after=wards")
        goes_on = _records(settings)[-1]
        assert goes_on.offset > before[-1].offset
        # Everything is there already, and more: nothing is done.
        assert ", 0 of them written now" in cli("registry", "restore", str(exported), "--expect-seal", seal).output
        cli("audit", "verify", "--expect-seal", seal)


def _is_refused(cli: Cli, damaged: bytes, folder: Path) -> None:
    """What is damaged, or another export than the one that was noted down, makes no topic."""
    (folder / "damaged.jsonl").write_bytes(damaged)
    assert "nothing was written" in cli("registry", "restore", str(folder / "damaged.jsonl"), code=1).stderr
    other = cli("registry", "restore", str(folder / "log.jsonl"), "--expect-seal", "0" * 64, code=1)
    assert "has the seal" in other.stderr
    assert "is not a seal" in cli("registry", "restore", str(folder / "log.jsonl"), "--expect-seal", "x", code=2).stderr


@pytest.mark.timeout(300)
def test_a_restore_that_was_broken_off_goes_on_and_other_records_are_left_alone(
    settings: Settings, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = stage_settings(str(settings.kafka_bootstrap_servers), f"{settings.topic_prefix}-b", tmp_path / "b")
    with exported.open("rb") as file:
        records = list(read_export(file))
    asyncio.run(_begin_a_restore(elsewhere, records[:2]))
    with exported.open("rb") as file:
        restored, seen = asyncio.run(bootstrap.restore_log(elsewhere, file))
    assert (restored.records, restored.written, seen) == (len(records), len(records) - 2, None)
    assert _records(elsewhere) == records

    # Nothing is missing: who may not change the topic's settings can do it, too, and one that was left open is closed.
    with monkeypatch.context() as patched:
        patched.setattr(
            "hotswap_stream.bootstrap.registry.restoring_topic", lambda *_: pytest.fail("nothing is missing")
        )
        with exported.open("rb") as file:
            again, _ = asyncio.run(bootstrap.restore_log(elsewhere, file))
        assert (again.records, again.written, again.seal) == (len(records), 0, restored.seal)
    asyncio.run(_begin_a_restore(elsewhere, []))
    with pytest.raises(TopicSettingsError):
        asyncio.run(_open(elsewhere))
    with exported.open("rb") as file:
        assert asyncio.run(bootstrap.restore_log(elsewhere, file))[0].written == 0
    asyncio.run(_open(elsewhere))

    other = stage_settings(str(settings.kafka_bootstrap_servers), f"{settings.topic_prefix}-c", tmp_path / "c")
    asyncio.run(_open(other))
    begun = _records(other)
    with exported.open("rb") as file, pytest.raises(RestoreRefusedError, match="at offset 0 is a record"):
        asyncio.run(bootstrap.restore_log(other, file))
    assert _records(other) == begun
    asyncio.run(_open(other))  # its topic is as it was


async def _begin_a_restore(settings: Settings, records: list[LogRecord]) -> None:
    """Write some records, and go away without a word."""
    names = bootstrap.topics(settings)
    (spec,) = (each for each in names.control_specs() if each.name == names.registry)
    await ensure_topics(bootstrap.connection(settings), [spec])
    with suppress(InterruptedError):
        async with restoring_topic(bootstrap.connection(settings), spec) as writer:
            if records:
                await writer.write(records)
            raise InterruptedError


async def _open(settings: Settings) -> None:
    async with bootstrap.open_registry(settings, "test"):
        pass
