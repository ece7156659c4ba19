"""Transactions of other clients in the registry's topic, on the real broker: markers and records that were taken back
are nothing to wait for, to read, or to miss."""

import asyncio
import io
from contextlib import aclosing
from pathlib import Path

import pytest
import structlog

from hotswap_stream import bootstrap
from hotswap_stream.application.audit.audit import export_log, verify_export, verify_log
from hotswap_stream.application.registry.as_of import RegistryAsOf
from hotswap_stream.application.registry.feed import EventFeed
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.settings import Settings
from tests.support.kafka.transactions import open_transaction, transaction
from tests.support.stages.serving import MODEL, open_stage, stage_settings

START_SECONDS_MAX = 60.0
"""A reader that waits for what never comes gives up before, and says so."""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def registry_topic(settings: Settings) -> str:
    await bootstrap.ensure_control_topics(settings)
    return bootstrap.topics(settings).registry


async def test_aborted_and_committed_transactions_anywhere_in_the_log(
    settings: Settings, kafka: str, registry_topic: str
) -> None:
    """An aborted foreign transaction at the log's end stopped every start, and its record was read."""
    await transaction(kafka, registry_topic, b"taken back at the beginning")
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await transaction(kafka, registry_topic, b"taken back in the middle")
        await transaction(kafka, registry_topic, b"not an event, and committed", end="committed")
        await stage.switch("v1")
        await transaction(kafka, registry_topic, b"taken back at the end")
        expected = stage.registry.state(MODEL)

    async with asyncio.timeout(START_SECONDS_MAX), bootstrap.open_registry(settings, "again") as registry:
        assert registry.state(MODEL).sequence == expected.sequence
        assert registry.state(MODEL).active_version == "v1"
        assert registry.fold.void_count == 1, "only what was committed is read"
        end = await registry.log.end_offset()
        assert registry.fold.next_offset == end

        records = [record async for page in registry.log.read(0, end) for record in page]
        assert not [record for record in records if b"taken back" in (record.value or b"")]
        assert len(records) < end

        feed = EventFeed(registry)
        page = await feed.page(0)
        assert page.at_end
        assert [entry.offset for entry in page.entries] == [record.offset for record in records]
        as_of = await RegistryAsOf(registry.log).at_offset(end - 1)
        assert as_of[MODEL].state == registry.state(MODEL)

        report = await verify_log(registry.log)
        assert not [finding for finding in report.findings if finding.damage in ("dropped", "reordered")]
        file = io.BytesIO()
        await export_log(registry.log, file)
        file.seek(0)
        assert verify_export(file) == report

        away = list(await registry.log.without_records(records[-1].offset + 1, end))
        assert sum(map(len, away)) == end - records[-1].offset - 1


async def test_what_is_appended_behind_a_marker_is_read_back(
    settings: Settings, kafka: str, registry_topic: str
) -> None:
    async with open_stage(settings) as stage:
        await transaction(kafka, registry_topic)
        await stage.register_answering(2.0)
        await transaction(kafka, registry_topic)
        await stage.switch("v1")
        assert stage.registry.state(MODEL).active_version == "v1"


async def test_a_follower_tells_how_far_it_came_behind_the_last_record(
    settings: Settings, kafka: str, registry_topic: str
) -> None:
    async with bootstrap.open_registry(settings) as registry:
        behind_its_beginning = registry.fold.next_offset
        await transaction(kafka, registry_topic)
        end = await registry.log.end_offset()
        async with asyncio.timeout(START_SECONDS_MAX), aclosing(registry.log.follow(behind_its_beginning)) as pages:  # type: ignore[type-var]
            async for page in pages:
                assert not page.records
                if page.next_offset == end:
                    break
        async with asyncio.timeout(START_SECONDS_MAX):
            await registry.wait_for_offset(end)


async def test_an_open_transaction_is_told_of_and_nothing_waits_for_its_end(
    settings: Settings, kafka: str, registry_topic: str
) -> None:
    """Records behind an open transaction cannot be read; that was a silent stall."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        async with open_transaction(kafka, registry_topic, b"not yet") as first_open:
            async with asyncio.timeout(START_SECONDS_MAX), bootstrap.open_registry(settings, "again") as again:
                assert again.state(MODEL).sequence == stage.registry.state(MODEL).sequence
                assert await again.log.end_offset() == first_open

            behind = await stage.registry.log.append(b"m", [b"behind it"])
            assert behind == first_open + 1
            with pytest.raises(LogUnavailableError, match=f"begun at offset {first_open} of"):
                await stage.registry.wait_for_offset(behind + 1, seconds_max=2.0)
            with structlog.testing.capture_logs() as lines:
                async with asyncio.timeout(START_SECONDS_MAX):
                    while not [line for line in lines if line["event"] == "registry_log_held_back"]:
                        await asyncio.sleep(0.1)
            obstacle = stage.registry.log.obstacle()
            assert obstacle is not None
            assert "kafka-transactions.sh" in obstacle
        async with asyncio.timeout(START_SECONDS_MAX):
            await stage.registry.wait_for_offset(behind + 1)
            await stage.switch("v1")
            while stage.registry.log.obstacle(seconds_min=0.0) is not None:
                await asyncio.sleep(0.05)


async def test_only_what_transactions_wrote_counts_as_theirs(
    settings: Settings, kafka: str, registry_topic: str
) -> None:
    """So that a record that is missing for another reason is still reported by an audit."""
    async with bootstrap.open_registry(settings) as registry:
        first = await registry.log.append(b"m", [b"one"])
        taken_back = await transaction(kafka, registry_topic)
        last = await registry.log.append(b"m", [b"two"])
        assert list(await registry.log.without_records(first, last + 1)) == [
            range(taken_back, taken_back + 1),
            range(taken_back + 1, last),
        ]
        assert list(await registry.log.without_records(last, last + 1)) == []
