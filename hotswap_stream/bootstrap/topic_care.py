"""The topics of an environment: made, looked at, mended and deleted."""

from collections.abc import Awaitable, Callable, Sequence

from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka import topic_admin
from hotswap_stream.adapters.kafka.seen_log import read_seen_log
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics, topics_of
from hotswap_stream.agents import topics as agents_topics
from hotswap_stream.agents.topics import stream_heads_topic
from hotswap_stream.application.log.identity import replaced
from hotswap_stream.application.topics.check import Difference, TopicFacts
from hotswap_stream.bootstrap.environment import connection, log_memory, topics
from hotswap_stream.settings import Settings


def model_topics_creator(
    settings: Settings, *, windows: bool = False, check: bool = True
) -> Callable[[str], Awaitable[None]]:
    """A function that creates the pair of topics of a model, or that of its `windows`, once per process.

    With `check` it raises TopicSettingsError where their settings break a promise.
    """
    created: set[str] = set()
    kafka, names = connection(settings), topics(settings)

    async def ensure(model_name: str) -> None:
        if model_name not in created:
            specs = names.windows_specs if windows else names.model_specs
            await ensure_topics(kafka, specs(model_name, partitions=settings.request_partitions), check=check)
            created.add(model_name)

    return ensure


async def existing_topics(settings: Settings) -> frozenset[str]:
    """Names of this environment's topics that are there. LogUnavailableError."""
    return await topics_of(connection(settings), topics(settings).prefix)


async def ensure_control_topics(settings: Settings, *, check: bool = True) -> None:
    """Create the topics that exist whatever models there are. LogReplacedError where the log's is gone; with `check`,
    TopicSettingsError where their settings break a promise."""
    await create_topics(settings, topics(settings).control_specs(), check=check)


async def create_topics(settings: Settings, specs: Sequence[TopicSpec], *, check: bool = True) -> None:
    """Create those that are missing. LogReplacedError when the log's topic is, and this machine or the agents know it:
    made anew it would be empty, and nobody would notice."""
    memory, names = log_memory(settings), topics(settings)
    if memory is not None:
        seen, existing = memory.recall(), await existing_topics(settings)
        if seen is None and stream_heads_topic(names) in existing:
            seen = await read_seen_log(connection(settings), stream_heads_topic(names))
            if seen is not None:
                memory.remember(seen)
        if seen is not None and names.registry not in existing:
            raise replaced(seen, f"there is no topic {names.registry!r}")
    await ensure_topics(connection(settings), specs, check=check)


async def check_topics(
    settings: Settings, specs: Sequence[TopicSpec]
) -> list[tuple[TopicSpec, TopicFacts, list[Difference]]]:
    """Those of the topics that exist, as the cluster has them, and what differs. LogUnavailableError."""
    return await topic_admin.check_topics(connection(settings), specs)


async def repair_topics(settings: Settings, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    """Give topics the settings they need and leave others alone. ConfigurationError, LogUnavailableError."""
    return await topic_admin.repair_topics(connection(settings), specs)


async def delete_topics(settings: Settings) -> list[str]:
    """Delete all topics of this environment, and return their names. LogUnavailableError."""
    return await topic_admin.delete_topics(connection(settings), topics(settings).prefix)


def agent_topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return the topics that only the agents use."""
    return agents_topics.agent_topic_specs(topics(settings))
