"""Topics of the cluster: created with the settings that promises rest on, and checked against them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError as TooFewBrokersError
from aiokafka.errors import KafkaError, NodeNotReadyError, TopicAuthorizationFailedError, for_code

from hotswap_events.topics import TopicSpec
from hotswap_stream.application.topics.check import (
    Difference,
    SettingFound,
    TopicFacts,
    differences,
    refuse_broken,
    to_set,
)
from hotswap_stream.errors import ConfigurationError, LogUnavailableError
from hotswap_stream.kafka.alter_settings import alter_settings
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.security.denied import why_not
from hotswap_stream.kafka.sessions import open_admin
from hotswap_stream.kafka.topic_partitions import broker_ids, described_partitions

_log = structlog.get_logger(__name__)

READY_SECONDS_MAX = 30.0
SOME_LEADERS_SECONDS = 3.0  # a broker that has died is known to be away by then; until then a topic may just be made
_UNKNOWN_TOPIC = 3
_NOT_ALLOWED = frozenset((29, 31))
"""Errors of a client that may not: for a topic, and for the cluster."""
_TOPIC_ALREADY_EXISTS = 36
_OF_THE_TOPIC = 1
"""Where a setting comes from, in Kafka's numbers."""
_POLL_SECONDS = 0.05
_AGAIN_SECONDS = 0.2
_AWAY = (NodeNotReadyError, TooFewBrokersError)
"""Of several brokers one is: the client asks any of them; a topic finds fewer than the client has just counted."""


async def ensure_topics(connection: KafkaConnection, specs: Sequence[TopicSpec], *, check: bool = True) -> None:
    """Create what is missing, leave what exists alone, return when every partition has a leader, of a model some.

    With `check` the cluster is asked for the settings of all of them afterwards, so that a topic that somebody else
    made, even at the same moment, is found out. What only weakens a promise is logged.

    Args:
        connection: How to reach the cluster.
        specs: The topics, with the settings that promises rest on.
        check: Look at the settings of those that exist.

    Raises:
        TopicSettingsError: A setting breaks a promise.
        ConfigurationError: An existing topic has another partition count and cannot be used with it.
        LogUnavailableError: The cluster cannot be reached, or does not get ready in time.
    """
    give_up_s = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            return await _ensure(connection, specs, check=check)
        except LogUnavailableError as error:
            if not isinstance(error.__cause__, _AWAY) or time.monotonic() > give_up_s:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


async def _ensure(connection: KafkaConnection, specs: Sequence[TopicSpec], *, check: bool) -> None:
    async with admin_client(connection) as admin:
        existing = await described_partitions(admin, [spec.name for spec in specs])
        # Asked first, so that whoever may not create topics can use those that are there.
        missing = [spec for spec in specs if spec.name not in existing]
        if missing:
            await _create(admin, missing)
        await _wait_ready(admin, specs)
        if check:
            _judge(connection, specs, *await _facts_of_all(admin, specs))


def _judge(connection: KafkaConnection, specs: Sequence[TopicSpec], facts: dict[str, TopicFacts], brokers: int) -> None:
    unknown = [spec.name for spec in specs if spec.name in facts and facts[spec.name].settings is None]
    if unknown:
        _log.warning(
            "topic_settings_unknown",
            topics=unknown,
            cause="this client may not describe their configuration, so nobody checked that they keep what is promised",
        )
    found = [
        difference
        for spec in specs
        if spec.name in facts
        for difference in differences(spec, facts[spec.name], brokers=brokers)
    ]
    weaker: dict[str, list[str]] = {}
    for difference in found:
        if not difference.breaks:
            weaker.setdefault(difference.topic, []).append(str(difference))
    if weaker:
        _log.warning("topics_weaker_than_promised", topics=weaker)
    refuse_broken(found, connection.bootstrap_servers)


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    brokers = len(await broker_ids(admin))
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
        if code == TopicAuthorizationFailedError.errno:
            raise ConfigurationError(
                f"topic {name!r} is not there and the cluster does not let us create it: "
                "`hotswap-stream acls` prints the access rights that each process needs"
            )
        if code == TooFewBrokersError.errno:
            raise TooFewBrokersError(f"topic {name!r} could not be created: {error[2:]}")
        if code not in (0, _TOPIC_ALREADY_EXISTS):
            raise ConfigurationError(f"topic {name!r} could not be created: error {code} {error[2:]}")
        if code == 0:
            _log.info("topic_created", topic=name)


async def _wait_ready(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    wanted = {spec.name: spec.partitions for spec in specs}
    flexible = {spec.name for spec in specs if spec.other_counts_served}
    some_do_s = time.monotonic() + SOME_LEADERS_SECONDS
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while wanted:
                for name, partitions in (await described_partitions(admin, list(wanted))).items():
                    away = [p["partition"] for p in partitions if p["error_code"] or p["leader"] < 0]
                    if away and (name not in flexible or time.monotonic() < some_do_s or len(away) == len(partitions)):
                        continue
                    if away:  # the others are served, and these as soon as their brokers are there
                        _log.warning("partitions_without_leaders", topic=name, partitions=sorted(away))
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


async def check_topics(
    connection: KafkaConnection, specs: Sequence[TopicSpec]
) -> list[tuple[TopicSpec, TopicFacts, list[Difference]]]:
    """Look at the settings of topics.

    Returns:
        For each of them that exists: what is needed, what the cluster has, and where the two differ.

    Raises:
        LogUnavailableError: The cluster cannot be asked.
    """
    async with admin_client(connection) as admin:
        facts, brokers = await _facts(admin, specs)
        return [
            (spec, facts[spec.name], differences(spec, facts[spec.name], brokers=brokers))
            for spec in specs
            if spec.name in facts
        ]


async def repair_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    """Set what differs, and what is right only by the cluster's default, and return both by topic and name.

    Raises:
        ConfigurationError: This client may not change them.
        LogUnavailableError: The cluster cannot be reached.
    """
    async with admin_client(connection) as admin:
        facts, brokers = await _facts(admin, specs)
        changed = {
            spec.name: settings
            for spec in specs
            if spec.name in facts and (settings := to_set(spec, facts[spec.name], brokers=brokers))
        }
        for name, settings in changed.items():
            await _alter(admin, name, settings)
            _log.info("topic_repaired", topic=name, settings=settings)
        await _wait_in_force(admin, specs, changed)
        return changed


async def set_on_topic(connection: KafkaConnection, spec: TopicSpec, settings: dict[str, str]) -> None:
    """Give a topic these settings, wait until they are in force, and leave the others alone.

    Raises:
        ConfigurationError: This client may not change them.
        LogUnavailableError: The cluster cannot be reached.
    """
    async with admin_client(connection) as admin:
        await _alter(admin, spec.name, settings)
        await _wait_in_force(admin, [spec], {spec.name: settings})


async def _alter(admin: AIOKafkaAdminClient, name: str, settings: dict[str, str]) -> None:
    try:
        await alter_settings(admin, name, settings)
    except KafkaError as error:
        if error.retriable:
            raise
        text = why_not(error, "AlterConfigs", name)
        raise ConfigurationError(f"the settings of topic {name!r} could not be changed: {text}") from error


async def _wait_in_force(
    admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec], changed: dict[str, dict[str, str]]
) -> None:
    """Wait until the brokers have the settings, a moment after the controller."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                facts, _brokers = await _facts(admin, [spec for spec in specs if spec.name in changed])
                if all(
                    name in facts
                    and (in_force := (facts[name].settings or {}).get(setting)) is not None
                    and in_force.value == value
                    for name, settings in changed.items()
                    for setting, value in settings.items()
                ):
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LogUnavailableError(
            f"the changed settings of {sorted(changed)} were not in force within {READY_SECONDS_MAX} s"
        ) from None


async def topic_partitions(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, int]:
    """Return topic → number of partitions, for those of the topics that exist. LogUnavailableError."""
    async with admin_client(connection) as admin:
        return {name: len(partitions) for name, partitions in (await described_partitions(admin, topics)).items()}


async def topics_of(connection: KafkaConnection, prefix: str) -> frozenset[str]:
    """Return the names of the topics of one environment (`<prefix>.…`). LogUnavailableError."""
    async with admin_client(connection) as admin:
        return frozenset(name for name in await admin.list_topics() if name.startswith(f"{prefix}."))


async def delete_topics(connection: KafkaConnection, prefix: str) -> list[str]:
    """Delete every topic of one environment (`<prefix>.…`), and return their names. For `reset` only."""
    async with admin_client(connection) as admin:
        names = sorted(name for name in await admin.list_topics() if name.startswith(f"{prefix}."))
        if names:
            await admin.delete_topics(names)
            try:
                async with asyncio.timeout(READY_SECONDS_MAX):
                    while set(names) & set(await admin.list_topics()):
                        await asyncio.sleep(_POLL_SECONDS)
            except TimeoutError:
                raise LogUnavailableError(f"topics of {prefix!r} were not gone within {READY_SECONDS_MAX} s") from None
        return names


@asynccontextmanager
async def admin_client(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect. LogUnavailableError if that, or what is asked meanwhile, fails."""
    try:
        async with open_admin(connection.client_options()) as admin:
            yield admin
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {connection.bootstrap_servers}: {error!r}") from error


async def _facts(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> tuple[dict[str, TopicFacts], int]:
    """Return facts about those of the topics that exist, and the number of brokers."""
    described = await described_partitions(admin, [spec.name for spec in specs])
    settings = await _settings(admin, list(described))
    facts = {
        name: TopicFacts(
            name=name,
            partitions=len(partitions),
            replicas=min((len(partition["replicas"]) for partition in partitions), default=0),
            settings=settings[name],
        )
        for name, partitions in described.items()
        if name in settings
    }
    return facts, len(await broker_ids(admin))


async def _facts_of_all(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> tuple[dict[str, TopicFacts], int]:
    """Return the same, once the broker that is asked knows all of them."""
    wanted = {spec.name for spec in specs}
    facts: dict[str, TopicFacts] = {}
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                facts, brokers = await _facts(admin, specs)
                if wanted <= set(facts):
                    return facts, brokers
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LogUnavailableError(
            f"the settings of topics {sorted(wanted - set(facts))} were not told within {READY_SECONDS_MAX} s"
        ) from None


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, SettingFound] | None]:
    """Return the settings in force of each topic that is there; None where this client may not see them."""
    if not names:
        return {}
    found: dict[str, dict[str, SettingFound] | None] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, message, _kind, name, entries in response.resources:
            if code in _NOT_ALLOWED:
                found[name] = None
            elif not code:
                found[name] = {
                    entry[0]: SettingFound(entry[1], _is_own(response, entry[3]))
                    for entry in entries
                    if entry[1] is not None
                }
            elif code != _UNKNOWN_TOPIC:
                raise for_code(code)(f"{name}: {message}")
    return found


def _is_own(response: Any, source: Any) -> bool:
    """Return whether a setting is the topic's own."""
    # The first version of the answer tells only whether it is a default.
    return not source if response.API_VERSION == 0 else source == _OF_THE_TOPIC
