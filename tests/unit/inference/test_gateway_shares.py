"""Gateways side by side take partitions of their own, so that none reads the answers of another."""

import pytest

from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.inference.gateway import PARTITIONS_USED_MAX, KafkaInferenceGateway


def chosen(share: tuple[int, int] | None, count: int) -> list[int]:
    return KafkaInferenceGateway({}, Topics("unit"), share=share)._choose("digits", count)


@pytest.mark.parametrize(("of", "count"), [(2, 4), (2, 8), (3, 8), (4, 4), (5, 64)])
def test_no_two_of_them_use_the_same_partition(of: int, count: int) -> None:
    parts = [chosen((number, of), count) for number in range(1, of + 1)]
    used = [partition for part in parts for partition in part]
    assert len(used) == len(set(used))
    assert set(used) <= set(range(count))
    assert all(0 < len(part) <= PARTITIONS_USED_MAX for part in parts)


@pytest.mark.parametrize("share", [None, (1, 1), (2, 3)])
def test_where_there_are_too_few_all_are_used(share: tuple[int, int] | None) -> None:
    assert chosen(share, 2) == [0, 1]
