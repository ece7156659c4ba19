"""Creating topics, and waiting until they can be used."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka.connection import KafkaConnection
from hotswap_stream.errors import ConfigurationError, LogUnavailableError
from hotswap_stream.kafka import clients

_log = structlog.get_logger(__name__)

READY_SECONDS_MAX = 30.0
_TOPIC_ALREADY_EXISTS = 36
_POLL_SECONDS = 0.05


async def ensure_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> None:
    """Create what is missing, leave what exists alone, return when every partition has a leader.

    Raises ConfigurationError when an existing topic has another partition count and cannot be used with it,
    LogUnavailableError when the cluster
    cannot be reached or does not get ready in time.
    """
    admin = clients.admin_client(**connection.client_options())
    try:
        await admin.start()
        described = await admin.describe_topics([spec.name for spec in specs])
        existing = {topic["topic"] for topic in described if not topic["error_code"]}
        # Asked first, so that whoever may not create topics can use those that are there.
        missing = [spec for spec in specs if spec.name not in existing]
        if missing:
            await _create(admin, missing)
        await _wait_ready(admin, specs)
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    response = await admin.create_topics(
        [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=min(spec.replicas, brokers),
                topic_configs=spec.config(brokers=brokers),
            )
            for spec in specs
        ]
    )
    for error in response.topic_errors:
        name, code = error[0], error[1]
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            raise ConfigurationError(f"topic {name!r} could not be created: error {code} {error[2:]}")
        if code == 0:
            _log.info("topic_created", topic=name)


async def _wait_ready(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    wanted = {spec.name: spec.partitions for spec in specs}
    flexible = {spec.name for spec in specs if spec.other_counts_served}
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while wanted:
                for topic in await admin.describe_topics(list(wanted)):
                    partitions = topic["partitions"]
                    name = topic["topic"]
                    if topic["error_code"] or any(p["error_code"] or p["leader"] < 0 for p in partitions):
                        continue
                    if len(partitions) != wanted[name] and name in flexible:
                        _log.warning(
                            "topic_has_other_partitions",
                            topic=name,
                            partitions=len(partitions),
                            setting=wanted[name],
                            advice="it is used as it is; what a model's topics do not have in common is not answered",
                        )
                    elif len(partitions) != wanted[name]:
                        raise ConfigurationError(
                            f"topic {name!r} has {len(partitions)} partitions; {wanted[name]} are needed. "
                            "Choose another topic prefix or delete the topic"
                        )
                    del wanted[name]
                if wanted:
                    await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LogUnavailableError(f"topics {sorted(wanted)} had no leader within {READY_SECONDS_MAX} s") from None


async def topic_partitions(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, int]:
    """Partition counts of those of the topics that exist."""
    admin = clients.admin_client(**connection.client_options())
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
        return {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()


async def topics_of(connection: KafkaConnection, prefix: str) -> frozenset[str]:
    """Names of the topics of one environment (`<prefix>.…`). LogUnavailableError."""
    admin = clients.admin_client(**connection.client_options())
    try:
        await admin.start()
        return frozenset(name for name in await admin.list_topics() if name.startswith(f"{prefix}."))
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()


async def delete_topics(connection: KafkaConnection, prefix: str) -> list[str]:
    """Delete every topic of one environment (`<prefix>.…`); returns their names. For `reset` only."""
    admin = clients.admin_client(**connection.client_options())
    try:
        await admin.start()
        names = sorted(name for name in await admin.list_topics() if name.startswith(f"{prefix}."))
        if names:
            await admin.delete_topics(names)
            async with asyncio.timeout(READY_SECONDS_MAX):
                while set(names) & set(await admin.list_topics()):
                    await asyncio.sleep(_POLL_SECONDS)
        return names
    except TimeoutError:
        raise LogUnavailableError(f"topics of {prefix!r} were not gone within {READY_SECONDS_MAX} s") from None
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error
    finally:
        await admin.close()
