"""The registry over Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import BinaryIO

import structlog

from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka.record_writer import keeps_given_times, restoring_topic
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.seen_log import write_seen_log
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.agents.topics import stream_heads_topic
from hotswap_stream.application.artifacts.cleanup import adopt
from hotswap_stream.application.audit.restoring import Restored, check_export, restore
from hotswap_stream.application.log.identity import SeenLog, check_seen, look_at
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.bootstrap.artifacts import artifact_marker, artifact_store
from hotswap_stream.bootstrap.environment import connection, log_memory, topics
from hotswap_stream.bootstrap.topic_care import ensure_control_topics, existing_among, model_topics_creator
from hotswap_stream.errors import HotswapError, LogReplacedError
from hotswap_stream.home.alone import alone
from hotswap_stream.settings import Settings

_log = structlog.get_logger(__name__)


def build_registry(settings: Settings, source: str) -> Registry:
    """Return a registry over Kafka, not started. The control topics must exist.

    Args:
        settings: Name the cluster and the environment.
        source: The part of the product that writes events, for the log.
    """
    names = topics(settings)
    return Registry(
        KafkaRegistryLog(connection(settings), names.registry),
        clock=SystemClock(),
        ids=RandomIds(),
        source=f"/{names.prefix}/{source}",
        memory=log_memory(settings),
        begins_log=True,
        begin_alone=partial(alone, settings.home / "registry-begin.lock"),
        on_model_created=model_topics_creator(settings),
        on_artifact_named=artifact_marker(settings),
    )


@asynccontextmanager
async def open_registry(settings: Settings, source: str = "cli", *, check: bool = True) -> AsyncIterator[Registry]:
    """Open a started registry: its topics are created, and the log is folded to its end.

    Args:
        settings: Name the cluster and the environment.
        source: The part of the product that writes events, for the log.
        check: Look at the settings of the topics, too.
    """
    await ensure_control_topics(settings, check=check)
    registry = build_registry(settings, source)
    try:
        await registry.start()
        yield registry
    finally:
        await registry.stop()


async def accept_log(settings: Settings) -> tuple[SeenLog | None, SeenLog | None]:
    """Take the log that is there for the right one, and make it where it is missing.

    Returns:
        What was known before, and what is known now.
    """
    memory = log_memory(settings)
    before = None if memory is None else memory.recall()
    kafka, names = connection(settings), topics(settings)
    await ensure_topics(kafka, names.control_specs())
    try:
        if memory is not None:
            memory.forget()
        registry = build_registry(settings, "cli")
        try:
            await registry.start()
            now = await look_at(registry.log)
        finally:
            await registry.stop()
        if now is not None and await existing_among(settings, stream_heads_topic(names)):
            await write_seen_log(kafka, stream_heads_topic(names), now)
    except BaseException:
        if memory is not None and before is not None:
            memory.remember(before)
        raise
    return before, now


async def restore_log(settings: Settings, file: BinaryIO, seal: str | None = None) -> tuple[Restored, SeenLog | None]:
    """Put an export back into the registry's topic, which is made where it is missing.

    Args:
        settings: Name the cluster and the environment.
        file: The export, from its beginning; it can be read twice.
        seal: What was noted down when it was made.

    Returns:
        What was done, and the log that this machine knew before, where the restored one is not that whole.

    Raises:
        RestoreRefusedError: The export is damaged or another one, or the topic holds other records.
        ConfigurationError: This client may not make the topic or change its settings.
        LogUnavailableError: The cluster cannot be reached.
    """
    expected = check_export(file, seal)
    file.seek(0)
    kafka, names, memory = connection(settings), topics(settings), log_memory(settings)
    (spec,) = (each for each in names.control_specs() if each.name == names.registry)
    await ensure_topics(kafka, [spec], check=False)
    log = KafkaRegistryLog(kafka, names.registry, reads_only=True)
    try:
        await log.start()
        restored = await restore(
            log,
            partial(restoring_topic, kafka, spec),
            file,
            expected,
            left_open=partial(keeps_given_times, kafka, spec),
        )
        there = await look_at(log)
    finally:
        await log.stop()
    seen = None if memory is None else memory.recall()
    if seen is not None:
        with suppress(LogReplacedError):
            check_seen(seen, there)
            return restored, None
    return restored, seen


@asynccontextmanager
async def adopting(settings: Settings, registry: Registry) -> AsyncIterator["asyncio.Task[None]"]:
    """Mark the artifacts of versions from before there were marks, in a task beside the block.

    Where the store cannot be written to, as by agents that only follow the log, others have to.
    """

    async def adopt_all() -> None:
        try:
            adopted = await adopt(registry, artifact_store(settings))
        except (HotswapError, ModuleNotFoundError) as error:
            _log.warning("artifacts_not_marked", error=str(error))
        else:
            if adopted:
                _log.info("artifacts_marked", count=len(adopted))

    task = asyncio.create_task(adopt_all(), name="adopt-artifacts")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
