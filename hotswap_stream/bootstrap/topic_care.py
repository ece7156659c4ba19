"""The topics of an environment: made, looked at, mended and deleted."""

from collections.abc import Awaitable, Callable, Sequence

from hotswap_events.dataset import RequestRetention
from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka import topic_admin
from hotswap_stream.adapters.kafka.seen_log import read_seen_log
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics, topic_partitions, topics_of
from hotswap_stream.adapters.kafka.topic_growth import grow_model_topics
from hotswap_stream.agents import topics as agents_topics
from hotswap_stream.agents.topics import stream_heads_topic
from hotswap_stream.application.log.identity import replaced
from hotswap_stream.application.topics.check import Difference, TopicFacts
from hotswap_stream.application.topics.growth import Growth
from hotswap_stream.bootstrap.environment import connection, log_memory, topics
from hotswap_stream.settings import Settings


def model_topics_creator(
    settings: Settings, *, windows: bool = False, check: bool = True
) -> Callable[[str], Awaitable[None]]:
    """Return a function that creates the pair of topics of a model, or that of its `windows`, once per process.

    Args:
        settings: Name the cluster, the topics and their number of partitions.
        windows: Create the topic of the model's windows instead of its pair.
        check: Make the function raise TopicSettingsError where their settings break a promise.
    """
    created: set[str] = set()
    kafka, names = connection(settings), topics(settings)

    async def ensure(model_name: str) -> None:
        if model_name not in created:
            partitions = settings.request_partitions
            if windows:  # as many as its requests, which may have grown
                requests = names.requests(model_name)
                partitions = (await topic_partitions(kafka, [requests])).get(requests, partitions)
            specs = names.windows_specs if windows else names.model_specs
            await ensure_topics(kafka, specs(model_name, partitions=partitions), check=check)
            created.add(model_name)

    return ensure


def retention_applier(settings: Settings) -> Callable[[str, RequestRetention], Awaitable[None]]:
    """Return a function that tells the topics of a model how long records are kept."""
    kafka, names = connection(settings), topics(settings)

    async def apply(model_name: str, retention: RequestRetention) -> None:
        specs = names.model_specs(model_name, partitions=settings.request_partitions, retention=retention)
        await ensure_topics(kafka, specs, check=False)
        await topic_admin.repair_topics(kafka, specs)

    return apply


async def existing_topics(settings: Settings) -> frozenset[str]:
    """Return the names of this environment's topics that are there. LogUnavailableError."""
    return await topics_of(connection(settings), topics(settings).prefix)


async def existing_among(settings: Settings, *names: str) -> frozenset[str]:
    """Return those of the topics that are there, whatever else the cluster holds. LogUnavailableError."""
    return frozenset(await topic_partitions(connection(settings), names))


async def ensure_control_topics(settings: Settings, *, check: bool = True) -> None:
    """Create the topics that exist whatever models there are.

    Args:
        settings: Name the cluster and the topics.
        check: Look at their settings, too.

    Raises:
        LogReplacedError: The registry log is gone; see `create_topics`.
        TopicSettingsError: With `check`: a setting breaks a promise.
    """
    await create_topics(settings, topics(settings).control_specs(), check=check)


async def create_topics(settings: Settings, specs: Sequence[TopicSpec], *, check: bool = True) -> None:
    """Create those of the topics that are missing.

    Raises:
        LogReplacedError: The registry log's topic is missing, and this machine or the agents know the log: made anew it
            would be empty, and nobody would notice.
        TopicSettingsError: With `check`: a setting breaks a promise.
    """
    memory, names = log_memory(settings), topics(settings)
    if memory is not None:
        seen = memory.recall()
        existing = await existing_among(settings, names.registry, stream_heads_topic(names))
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
    """Look at the settings of topics.

    Returns:
        For each of them that exists: what is needed, what the cluster has, and where the two differ.

    Raises:
        LogUnavailableError: The cluster cannot be asked.
    """
    return await topic_admin.check_topics(connection(settings), specs)


async def repair_topics(settings: Settings, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    """Give topics the settings that they need, and leave other settings alone.

    Returns:
        Topic → the settings that were changed, by name.

    Raises:
        ConfigurationError: This client may not change them.
        LogUnavailableError: The cluster cannot be reached.
    """
    return await topic_admin.repair_topics(connection(settings), specs)


async def grow_topics(settings: Settings, model_name: str, partitions: int) -> Growth:
    """Give a model's topics more partitions: see `grow_model_topics`."""
    return await grow_model_topics(connection(settings), topics(settings), model_name, partitions)


async def delete_topics(settings: Settings) -> list[str]:
    """Delete all topics of this environment, and return their names. LogUnavailableError."""
    return await topic_admin.delete_topics(connection(settings), topics(settings).prefix)


def agent_topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return the topics that only the agents use."""
    return agents_topics.agent_topic_specs(topics(settings))
