"""The access rights that are printed name every topic, and give nobody more than his part."""

from hotswap_events.topics import Topics
from hotswap_stream.agents.topics import agent_topic_specs
from hotswap_stream.application.topics.acls import ROLES, Acl, acls
from tests.support.stages.command_line import command_line

TOPICS = Topics("staging")


def names_it(acl: Acl, topic: str) -> bool:
    return topic.startswith(acl.name) if acl.prefixed else topic == acl.name


def roles_that(operation: str, topic: str) -> set[str]:
    return {
        acl.role
        for acl in acls(TOPICS)
        if acl.resource == "topic" and operation in acl.operations and names_it(acl, topic)
    }


def test_every_topic_is_written_and_read_by_somebody() -> None:
    outside = {TOPICS.registry_state, TOPICS.dead_letters, TOPICS.commands}
    specs = (*TOPICS.control_specs(), *agent_topic_specs(TOPICS), *TOPICS.model_specs("m"), *TOPICS.windows_specs("m"))
    for spec in specs:
        assert roles_that("Write", spec.name), spec.name
        assert roles_that("Read", spec.name) or spec.name in outside, spec.name


def test_what_decides_is_written_by_few() -> None:
    assert roles_that("Write", TOPICS.keys) == {"api", "operator"}
    assert roles_that("Write", TOPICS.registry) == {"api", "agents", "worker", "trainer", "operator"}
    assert roles_that("Write", TOPICS.commands) == {"commander"}
    assert roles_that("Write", TOPICS.responses("m")) == {"worker"}


def test_who_changes_topics_is_an_administrator() -> None:
    for topic in (TOPICS.registry, TOPICS.requests("m"), TOPICS.responses("m"), TOPICS.windows("m")):
        assert roles_that("Alter", topic) == roles_that("AlterConfigs", topic) == {"administrator"}


def test_datasets_are_read_with_a_group_of_ours() -> None:
    group = TOPICS.datasets_group
    named = {acl.role for acl in acls(TOPICS) if acl.resource == "group" and acl.name == group}
    assert named == {"api", "operator"}


def test_the_command_prints_lines_of_kafkas_tool() -> None:
    with command_line({"HOTSWAP_TOPIC_PREFIX": "staging"}) as cli:
        printed = cli("acls", "--role", "consumer", "--principal", "User:{role}-1").output.splitlines()
        assert printed[0] == "# consumer"
        assert printed[1].startswith("kafka-acls.sh --bootstrap-server ")
        assert "--allow-principal 'User:consumer-1' --operation Read --operation Describe" in printed[1]
        assert printed[1].endswith("--topic 'staging.responses.' --resource-pattern-type prefixed")
        everything = cli("acls").output
        assert [line for line in everything.splitlines() if line.startswith("#")] == [f"# {role}" for role in ROLES]
        assert "there are api" in cli("acls", "--role", "king", code=2).output
