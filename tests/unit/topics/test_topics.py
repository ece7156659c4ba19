"""Topic names and settings."""

import pytest

from hotswap_events.topics import Topics, role_of
from hotswap_stream.agents.topics import agent_topic_specs


def test_two_environments_share_no_name() -> None:
    blue, green = Topics("blue"), Topics("green")
    assert {spec.name for spec in blue.control_specs()}.isdisjoint(spec.name for spec in green.control_specs())
    assert all(spec.name.startswith("blue.") for spec in (*blue.control_specs(), *blue.model_specs("digits")))


def test_the_registry_is_one_partition_kept_for_ever_stamped_by_the_broker() -> None:
    spec = next(spec for spec in Topics().control_specs() if spec.name == "hotswap.registry")
    assert spec.partitions == 1
    config = spec.config(brokers=3)
    assert (config["cleanup.policy"], config["retention.ms"]) == ("delete", "-1")
    assert config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize(("brokers", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (9, "2")])
def test_in_sync_replicas_leave_one_broker_to_fail(brokers: int, in_sync: str) -> None:
    for spec in Topics().control_specs():
        assert spec.config(brokers=brokers)["min.insync.replicas"] == in_sync


def test_a_model_s_topics_have_the_same_partitions() -> None:
    requests, responses = Topics().model_specs("digits", partitions=5)
    assert (requests.name, responses.name) == ("hotswap.requests.digits", "hotswap.responses.digits")
    assert requests.partitions == responses.partitions == 5


def test_names_fit_into_kafka_s_limit_and_cannot_collide() -> None:
    topics = Topics("p" * 63)
    longest = topics.responses("m" * 63)
    assert len(longest) <= 249
    # neither prefix nor model name may hold a dot, so every name splits in one way only
    assert longest.split(".") == ["p" * 63, "responses", "m" * 63]


@pytest.mark.parametrize("prefix", ["", "A", "a.b", "-a", "a_b", "a" * 64, "ä", "a\n"])
def test_wrong_prefixes(prefix: str) -> None:
    with pytest.raises(ValueError, match="topic prefix"):
        Topics(prefix)


@pytest.mark.parametrize("prefix", ["hotswap", "production", "p" * 63])
def test_every_topic_of_any_environment_is_known_as_one(prefix: str) -> None:
    topics = Topics(prefix)
    specs = (*topics.control_specs(), *topics.model_specs("m"), *topics.windows_specs("m"), *agent_topic_specs(topics))
    assert all(role_of(spec.name) for spec in specs)
    assert role_of(topics.responses("a.b.c")) == "responses"
    assert role_of(f"{prefix}.registry") == "registry"


@pytest.mark.parametrize(
    "name", ["orders", "registry.replies", "hotswap.replies.x", "a.registryx", "requests", ".requests.x"]
)
def test_others_topics_are_known_as_none(name: str) -> None:
    assert role_of(name) is None
