"""On a cluster with TLS, SASL and access rules: what `acls` prints is what each process needs, and no more.

One way of being known, by certificates; `make secured` has the others, and what those hear who are not let in.
"""

import asyncio

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.topic_admin import set_on_topic, topic_partitions
from hotswap_stream.adapters.kafka.topic_growth import grow_model_topics
from hotswap_stream.cli.terminal.next_steps import after_error
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.alter_settings import alter_settings
from hotswap_stream.kafka.sessions import open_producer, open_reader
from tests.support.stages.secured import MODEL, PREFIX, ROLES, SECONDS_MAX, TOPICS, Secured, check_every_process


@pytest.mark.timeout(300)
def test_every_process_works_with_exactly_its_rights(stage: Secured) -> None:
    check_every_process(stage, stage.broker.by_certificate, "certificate")


async def test_what_a_role_does_not_need_is_refused(stage: Secured) -> None:
    """Each role tries things that would do harm and that others may."""
    forbidden_writes = {
        "api": (TOPICS.responses(MODEL), TOPICS.observations, TOPICS.fleet),
        "agents": (TOPICS.responses(MODEL), TOPICS.keys, TOPICS.commands),
        "worker": (TOPICS.requests(MODEL), TOPICS.keys, TOPICS.commands),
        "trainer": (TOPICS.keys, TOPICS.fleet, TOPICS.responses(MODEL)),
        "operator": (TOPICS.responses(MODEL), TOPICS.observations),
        "administrator": (TOPICS.registry, TOPICS.keys, TOPICS.responses(MODEL)),
        "commander": (TOPICS.registry, TOPICS.keys),
        "producer": (TOPICS.responses(MODEL), TOPICS.registry, TOPICS.commands),
        "consumer": (TOPICS.requests(MODEL), TOPICS.responses(MODEL)),
    }
    assert forbidden_writes.keys() == set(ROLES)
    for role, topics in forbidden_writes.items():
        options = bootstrap.connection(stage.settings(role, stage.broker.by_password)).client_options()
        async with open_producer(options, flush_seconds_max=SECONDS_MAX) as producer:
            for topic in topics:
                with pytest.raises(TopicAuthorizationFailedError):
                    await producer.send_and_wait(topic, b"{}", b"k")
    for role, topic in (("producer", TOPICS.responses(MODEL)), ("consumer", TOPICS.registry), ("worker", TOPICS.keys)):
        options = bootstrap.connection(stage.settings(role, stage.broker.by_password)).client_options()
        with pytest.raises(TopicAuthorizationFailedError):
            async with open_reader(options, topic) as reader, asyncio.timeout(SECONDS_MAX):
                await reader.getone()
    options = bootstrap.connection(stage.settings("consumer", stage.broker.by_password)).client_options()
    member = clients.consumer(TOPICS.responses(MODEL), **options, group_id=f"{PREFIX}.workers.{MODEL}")
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            await member.start()
    finally:
        await member.stop()


async def test_topics_are_changed_by_administrators(stage: Secured) -> None:
    async def change(role: str) -> None:
        options = bootstrap.connection(stage.settings(role, stage.broker.by_password)).client_options()
        admin = clients.admin_client(**options)
        await admin.start()
        try:
            await alter_settings(admin, TOPICS.requests(MODEL), {"max.message.bytes": "1048588"})
        finally:
            await admin.close()

    with pytest.raises(TopicAuthorizationFailedError):
        await change("operator")
    await change("administrator")
    # Who may not is told which right is missing, and who has it.
    operator = bootstrap.connection(stage.settings("operator", stage.broker.by_password))
    (spec, *_others) = TOPICS.model_specs(MODEL, partitions=1)
    count = (await topic_partitions(operator, [TOPICS.requests(MODEL)]))[TOPICS.requests(MODEL)]
    for attempt, right in (
        (grow_model_topics(operator, TOPICS, MODEL, 2 * count), "Alter"),
        (set_on_topic(operator, spec, {"max.message.bytes": "1048588"}), "AlterConfigs"),
    ):
        with pytest.raises(
            ConfigurationError, match=f"this client needs {right} on .* --role administrator"
        ) as refused:
            await attempt
        assert after_error(refused.value) == "hotswap-stream acls"
