"""The settings that promises rest on: set when a topic is made, read back at each start, refused and mended, on a
broker whose own defaults break every promise."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it does not say what it exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from typer.testing import CliRunner, Result

from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import check_topics, ensure_topics, repair_topics
from hotswap_stream.application.topics.check import TopicSettingsError
from hotswap_stream.cli.app import build_app
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.topic_partitions import broker_ids
from hotswap_stream.settings import Settings
from tests.support.kafka.generous_broker import RETENTION_BYTES
from tests.support.stages.serving import MODEL, open_stage

GONE_SECONDS_MAX = 60.0


@pytest.fixture
def settings(generous: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return Settings(kafka_bootstrap_servers=generous, topic_prefix=topic_prefix, home=tmp_path, request_partitions=1)


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    return Topics(topic_prefix)


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GONE_SECONDS_MAX
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def set_by_hand(servers: str, topic: str, **values: str) -> None:
    """As an operator would, who leaves the other settings alone."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": servers})
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result()
    # The broker has them a moment after the controller.
    until(lambda: in_force(servers, topic).items() >= {entry.name: entry.value for entry in entries}.items())


def in_force(servers: str, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": servers})
    (described,) = admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in described.result().items()}


async def made_by_the_broker(servers: str, *names: str) -> None:
    """Somebody else's client asks first."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for name in names:
            await producer.partitions_for(name)
    finally:
        await producer.stop()


def command_line(settings: Settings, *arguments: str) -> Result:
    result = CliRunner().invoke(
        build_app(),
        arguments,
        env={
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
            "HOTSWAP_REQUEST_PARTITIONS": str(settings.request_partitions),
        },
    )
    structlog.reset_defaults()
    return result


async def test_brokers_that_go_away_while_topics_are_made_are_waited_for(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster refuses more replicas than it has brokers; that ended whoever started, and for good."""
    counted = [frozenset((0, 1, 2))]

    async def brokers(admin: AIOKafkaAdminClient) -> frozenset[int]:
        return counted.pop() if counted else await broker_ids(admin)

    monkeypatch.setattr("hotswap_stream.adapters.kafka.topic_admin.broker_ids", brokers)
    await ensure_topics(bootstrap.connection(settings), topics.control_specs())
    assert not counted
    assert len(await check_topics(bootstrap.connection(settings), topics.control_specs())) == len(
        topics.control_specs()
    )


async def test_every_topic_is_made_with_what_its_promises_rest_on(
    settings: Settings, generous: str, topics: Topics
) -> None:
    """Retention by size and unclean elections were the broker's; topics were made by asking about them."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await bootstrap.model_topics_creator(settings, windows=True)(MODEL)
    for spec in (
        *topics.control_specs(),
        *topics.model_specs(MODEL, partitions=1),
        *topics.windows_specs(MODEL, partitions=1),
    ):
        found = in_force(generous, spec.name)
        wanted = spec.config(brokers=1)
        assert {name: found[name] for name in wanted} == wanted
    registry = in_force(generous, topics.registry)
    assert (registry["retention.ms"], registry["retention.bytes"]) == ("-1", "-1")
    assert registry["message.timestamp.type"] == "LogAppendTime"


async def test_the_registry_is_kept_on_a_broker_that_keeps_little(
    settings: Settings, generous: str, topics: Topics
) -> None:
    """With a broker-wide `log.retention.bytes` the log lost its first records, and nothing could start."""
    async with bootstrap.open_registry(settings) as registry:
        producer = AIOKafkaProducer(bootstrap_servers=generous, max_request_size=2 * RETENTION_BYTES)
        consumer = AIOKafkaConsumer(bootstrap_servers=generous)
        await producer.start()
        await consumer.start()
        try:
            beginnings = [TopicPartition(topics.registry, 0), TopicPartition(topics.dead_letters, 0)]
            for number in range(8):
                await registry.log.append(b"m", [b"%d" % number * (RETENTION_BYTES // 2)])
            # Dead letters may go by size: as soon as theirs are gone, the broker has looked at the registry, too.
            while not (found := await consumer.beginning_offsets(beginnings))[beginnings[1]]:
                await producer.send_and_wait(topics.dead_letters, bytes(RETENTION_BYTES // 2), partition=0)
            assert found[beginnings[0]] == 0
        finally:
            await producer.stop()
            await consumer.stop()


async def test_a_registry_that_the_broker_made_is_refused_and_mended(
    settings: Settings, generous: str, topics: Topics
) -> None:
    """ "Already exists" was tolerated, and `topics` said "for ever" of a log that lived seven days."""
    names = (topics.registry, topics.registry_state, topics.fleet)
    await made_by_the_broker(generous, *names)
    set_by_hand(generous, topics.registry, file_delete_delay_ms="12345")

    with pytest.raises(TopicSettingsError) as refused:
        await bootstrap.ensure_control_topics(settings)
    said = str(refused.value)
    assert f"topic {topics.registry!r}" in said
    assert "retention.ms is 604800000, -1 is needed (the log is kept for ever)" in said
    assert f"retention.bytes is {RETENTION_BYTES}, -1 is needed" in said
    assert "message.timestamp.type is CreateTime, LogAppendTime is needed" in said
    assert "cleanup.policy is delete, compact is needed" in said
    assert "hotswap-stream topics --repair" in said
    assert (
        f"kafka-configs.sh --bootstrap-server {generous} --alter --entity-type topics --entity-name {topics.fleet} "
        "--add-config cleanup.policy=compact"
    ) in said
    with pytest.raises(TopicSettingsError):
        async with bootstrap.open_registry(settings):
            pass
    with pytest.raises(TopicSettingsError):
        await bootstrap.build_worker(settings, "w1")


def test_the_command_line_shows_what_the_cluster_says_and_mends_it(
    settings: Settings, generous: str, topics: Topics
) -> None:
    nothing = command_line(settings, "doctor")
    assert (nothing.exit_code, f"must: topic {topics.registry}: it is not there" in nothing.stdout) == (1, True)
    assert command_line(settings, "topics").exit_code == 0
    assert command_line(settings, "doctor").exit_code == 0
    set_by_hand(
        generous,
        topics.registry,
        retention_ms="604800000",
        unclean_leader_election_enable="true",
        file_delete_delay_ms="12345",
    )
    set_by_hand(generous, topics.fleet, delete_retention_ms="60000")

    models = command_line(settings, "models")
    assert models.exit_code == 78
    assert "retention.ms is 604800000" in models.stderr

    shown = command_line(settings, "topics")
    assert shown.exit_code == 1
    assert "7 days" in shown.stdout
    assert f"{topics.registry}: retention.ms is 604800000, -1 is needed (the log is kept for ever)" in shown.stdout
    assert f"{topics.fleet}: delete.retention.ms is 60000, at least 86400000 is needed" in shown.stdout
    assert f"--entity-name {topics.registry} --add-config" in shown.stderr
    as_json = command_line(settings, "topics", "--json")
    assert as_json.exit_code == 1
    by_name: dict[str, Any] = {each["name"]: each for each in json.loads(as_json.stdout)}
    assert by_name[topics.registry]["settings"]["retention.ms"] == "604800000"
    assert [each["setting"] for each in by_name[topics.registry]["differences"]] == [
        "retention.ms",
        "unclean.leader.election.enable",
    ]
    assert by_name[topics.commands]["differences"] == []

    examined = command_line(settings, "doctor")
    assert examined.exit_code == 1
    assert f"must: topic {topics.registry}: unclean.leader.election.enable is true" in examined.stdout
    assert "hotswap-stream topics --repair" in examined.stdout
    repaired = command_line(settings, "topics", "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert "for ever" in repaired.stdout
    found = in_force(generous, topics.registry)
    assert (found["retention.ms"], found["unclean.leader.election.enable"]) == ("-1", "false")
    assert found["file.delete.delay.ms"] == "12345", "other settings stay"
    assert command_line(settings, "topics").exit_code == 0
    assert command_line(settings, "models").exit_code == 0
    left = command_line(settings, "doctor", "--json")
    assert (left.exit_code, {each["weight"] for each in json.loads(left.stdout)}) == (0, {"should"}), left.stdout


async def test_what_only_weakens_is_a_warning(settings: Settings, generous: str, topics: Topics) -> None:
    await bootstrap.ensure_control_topics(settings)
    set_by_hand(generous, topics.commands, retention_ms="3600000")
    set_by_hand(generous, topics.observations, retention_ms="-1")
    with structlog.testing.capture_logs() as lines:
        await bootstrap.ensure_control_topics(settings)
    (line,) = [line for line in lines if line["event"] == "topics_weaker_than_promised"]
    assert set(line["topics"]) == {topics.commands}, "longer is not weaker"


async def test_repair_pins_what_is_right_by_the_cluster_s_default_only(
    settings: Settings, generous: str, topics: Topics
) -> None:
    await made_by_the_broker(generous, topics.registry)
    connection = KafkaConnection(bootstrap_servers=generous)
    specs = [spec for spec in topics.control_specs() if spec.name == topics.registry]
    ((_spec, _facts, different),) = await check_topics(connection, specs)
    assert "compression.type" not in {each.setting for each in different}
    changed = (await repair_topics(connection, specs))[topics.registry]
    assert changed["compression.type"] == "producer"
    assert changed["unclean.leader.election.enable"] == "false"
    ((_spec, _facts, different),) = await check_topics(connection, specs)
    assert different == []
    assert await repair_topics(connection, specs) == {}


async def test_without_the_right_to_see_settings_a_process_says_so_and_goes_on(
    settings: Settings, generous: str, topics: Topics
) -> None:
    await bootstrap.ensure_control_topics(settings)
    set_by_hand(generous, topics.registry, retention_ms="604800000")
    lists = [
        AclBinding(
            ResourceType.TOPIC,
            f"{topics.prefix}.",
            ResourcePatternType.PREFIXED,
            "User:ANONYMOUS",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in (AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE)
    ]
    admin = AdminClient({"bootstrap.servers": generous})
    for made in admin.create_acls(lists).values():
        made.result()

    def hidden() -> bool:
        try:
            in_force(generous, topics.registry)
        except KafkaException:
            return True
        return False

    await asyncio.to_thread(until, hidden)
    with structlog.testing.capture_logs() as lines:
        async with bootstrap.open_registry(settings) as registry:
            assert registry.fold.next_offset == 1, "its beginning"
    (line,) = [line for line in lines if line["event"] == "topic_settings_unknown"]
    assert topics.registry in line["topics"]
    shown = await asyncio.to_thread(command_line, settings, "topics")
    assert shown.exit_code == 0, shown.output
    assert "nobody checked them" in shown.stderr
    repaired = await asyncio.to_thread(command_line, settings, "topics", "--repair")
    assert repaired.exit_code == 0, "there is nothing it knows to be wrong"


async def test_topics_are_shown_though_the_log_has_lost_its_beginning(
    settings: Settings, generous: str, topics: Topics
) -> None:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
    admin = AdminClient({"bootstrap.servers": generous})
    for deleted in admin.delete_records([Place(topics.registry, 0, 1)]).values():
        deleted.result()
    shown = await asyncio.to_thread(command_line, settings, "topics")
    assert f"{topics.prefix}.requests.{MODEL}" in shown.stdout.replace("\n", "")
    assert "offset 0" in shown.stderr


async def test_ensuring_topics_twice_at_the_same_time_is_no_trouble(generous: str, topics: Topics) -> None:
    connection = KafkaConnection(bootstrap_servers=generous)
    await asyncio.gather(*(ensure_topics(connection, topics.control_specs()) for _process in range(4)))
