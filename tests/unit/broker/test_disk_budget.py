"""How a budget of disk space is shared out, and which topics share it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.topics import Topics
from hotswap_stream.application.topics.disk_budget import check_budget, limited_topic
from hotswap_stream.broker.disk_budget import TRAFFIC_SHARE, UNLIMITED, kept_bytes, partitions_in, share_out
from hotswap_stream.cli.processes.kept_broker import limited
from hotswap_stream.errors import ConfigurationError

TOPICS = Topics("staging")
GIB = 1024**3
MIB = 1024**2


def test_the_registry_compacted_topics_and_others_topics_are_never_limited() -> None:
    for name in (
        TOPICS.registry,
        TOPICS.registry_state,
        TOPICS.fleet,
        TOPICS.windows("m"),
        "staging.agents.stream-heads",
        "__consumer_offsets",
        "orders",
        "My.requests.m",
        "",
    ):
        assert limited_topic(name) is None, name


def test_what_grows_with_traffic_is_limited() -> None:
    assert limited_topic(TOPICS.requests("m")) == (True, 8 * MIB)
    assert limited_topic(TOPICS.responses("m.with.dots")) == (True, 8 * MIB)
    for name in (TOPICS.observations, TOPICS.comparisons, TOPICS.feedback, TOPICS.dead_letters, TOPICS.commands):
        assert limited_topic(name) == (False, MIB), name


@given(
    budget_gib=st.integers(1, 100),
    partitions=st.dictionaries(
        st.sampled_from([*(TOPICS.requests(f"m{number}") for number in range(20)), TOPICS.observations, "orders"]),
        st.integers(1, 8),
    ),
)
def test_all_partitions_together_stay_within_the_budget(budget_gib: int, partitions: dict[str, int]) -> None:
    budget = budget_gib * 4 * GIB
    shares = share_out(budget, partitions, limited)
    assert "orders" not in shares
    total = sum(partitions[topic] * (share.retention_bytes + share.segment_bytes) for topic, share in shares.items())
    assert total <= budget
    for topic, share in shares.items():
        found = limited(topic)
        assert found is not None
        assert share.segment_bytes > found.message_bytes_max
        assert share.retention_bytes >= share.segment_bytes


def test_requests_get_the_most() -> None:
    shares = share_out(10 * GIB, {TOPICS.requests("m"): 8, TOPICS.responses("m"): 8, TOPICS.observations: 4}, limited)
    traffic = shares[TOPICS.requests("m")]
    assert traffic == shares[TOPICS.responses("m")]
    assert traffic.retention_bytes + traffic.segment_bytes == pytest.approx(10 * GIB * TRAFFIC_SHARE / 16, rel=0.01)


def test_no_budget_takes_the_limits_away() -> None:
    assert share_out(0, {TOPICS.requests("m"): 1}, limited) == {TOPICS.requests("m"): UNLIMITED}


@pytest.mark.parametrize("wrong", [1, 512 * MIB - 1, -5])
def test_a_budget_that_is_too_small_is_refused(wrong: int) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_BROKER_DISK_BYTES_MAX"):
        check_budget(wrong)


def test_partitions_are_found_in_the_data_folder(tmp_path: Path) -> None:
    for name in ("a.requests.m-0", "a.requests.m-1", "a.requests.m-2.77-delete", "a.observations-0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.log").write_bytes(b"12345")
    (tmp_path / "recovery-point-offset-checkpoint").write_text("0")
    assert partitions_in([tmp_path, tmp_path]) == {"a.requests.m": 4, "a.observations": 2}
    assert kept_bytes([tmp_path]) == 20
