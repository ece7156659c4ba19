"""Where keys go when a topic grows: they stay, or go to a partition that was not there before."""

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.kafka.topic_partitions import former_partitions, key_partition


@given(st.binary(max_size=50), st.integers(1, 64), st.integers(2, 8))
def test_a_key_stays_or_goes_to_a_new_partition(key: bytes, partitions: int, times: int) -> None:
    before, after = key_partition(key, partitions), key_partition(key, partitions * times)
    assert after == before or after >= partitions
    assert after % partitions == before


@given(st.binary(max_size=50), st.lists(st.integers(2, 4), min_size=1, max_size=4))
def test_where_it_was_is_among_the_former_ones_and_the_last_of_them_has_the_highest_number(
    key: bytes, growths: list[int]
) -> None:
    counts = [1]
    for times in growths:
        counts.append(counts[-1] * times)
    places = [key_partition(key, count) for count in counts]
    assert places == sorted(places)
    former = former_partitions(places[-1], counts[-1])
    assert set(places) - {places[-1]} <= set(former)
    assert former == tuple(sorted(former))
    assert all(partition < places[-1] for partition in former)
