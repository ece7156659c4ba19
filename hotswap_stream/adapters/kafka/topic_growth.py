"""More partitions for the topics of one model, in an order in which nothing is lost on the way."""

import asyncio

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import InvalidReplicationFactorError, KafkaError

from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.topic_admin import admin_client
from hotswap_stream.application.topics.growth import Growth
from hotswap_stream.errors import ConfigurationError, LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.security.denied import why_not
from hotswap_stream.kafka.topic_partitions import described_partitions

_log = structlog.get_logger(__name__)

PARTITIONS_MAX = 10_000
READY_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.05


async def grow_model_topics(connection: KafkaConnection, topics: Topics, model_name: str, partitions: int) -> Growth:
    """Give the topics of a model more partitions: those of its windows first, its answers next, its requests last.

    So wherever a request can be written, its answer has a place, and its series a home. What was done before, by a call
    that was cut short, is not done again.

    Args:
        connection: How to reach the cluster.
        topics: Names of the environment's topics.
        model_name: The model.
        partitions: A multiple of what its requests have now: then a key stays where it is, or goes to a new partition.

    Returns:
        What has grown.

    Raises:
        ConfigurationError: The model has no topics, or its topics cannot grow to that number.
        LogUnavailableError: The cluster cannot be reached, or new partitions get no leader in time.
    """
    requests, responses = topics.requests(model_name), topics.responses(model_name)
    order = (topics.windows(model_name), responses, requests)
    async with admin_client(connection) as admin:
        counts = {name: len(found) for name, found in (await described_partitions(admin, order)).items()}
        _check(counts, requests, responses, partitions)
        before = {name: counts[name] for name in order if counts.get(name, partitions) < partitions}
        for name in before:
            await _grow(admin, name, partitions)
            _log.info("topic_grown", topic=name, partitions=partitions, before=before[name])
    return Growth(partitions, before)


def _check(counts: dict[str, int], requests: str, responses: str, partitions: int) -> None:
    for name in (requests, responses):
        if name not in counts:
            raise ConfigurationError(f"there is no topic {name!r}: the model has no topics that could grow")
    now = counts[requests]
    if partitions > PARTITIONS_MAX:
        raise ConfigurationError(f"{partitions} partitions are more than {PARTITIONS_MAX}")
    most = max(counts.values())
    if partitions < most:
        raise ConfigurationError(f"a topic never loses partitions: of this model's one has {most} already")
    if partitions % now:
        raise ConfigurationError(
            f"{requests!r} has {now} partitions, and {partitions} is no multiple of that: keys, and the series of "
            "windows with them, would go from one old partition to another"
        )


async def _grow(admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    """Return when every partition has a leader."""
    try:
        await admin.create_partitions({name: NewPartitions(partitions)})
    except InvalidReplicationFactorError as error:
        raise LogUnavailableError(
            f"topic {name!r} cannot be given {partitions} partitions while fewer brokers are there than its records "
            f"have replicas; the same command goes on there when they are back: {error}"
        ) from error
    except KafkaError as error:
        if error.retriable:
            raise
        text = why_not(error, "Alter", name)
        raise ConfigurationError(f"topic {name!r} could not be given {partitions} partitions: {text}") from error
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                found = (await described_partitions(admin, [name])).get(name, [])
                if len(found) >= partitions and all(not p["error_code"] and p["leader"] >= 0 for p in found):
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LogUnavailableError(
            f"new partitions of {name!r} had no leader within {READY_SECONDS_MAX:g} s; the same command goes on there"
        ) from None
