"""Who wrote answers for nothing, and when."""

import msgspec
import numpy as np

from hotswap_events import headers as header_names
from tests.torture.void_answers import SHOWN_MAX, Burst, VoidAnswer, VoidTally, bursts


def test_what_a_worker_wrote_together_is_one_burst_and_the_largest_comes_first() -> None:
    woken = [VoidAnswer(120_000 + 10 * number, "w3", number % 2, 14_000 + number) for number in range(50)]
    moved = [VoidAnswer(time_ms, "w5", 7, 20) for time_ms in (121_000, 121_100, 130_000)]
    assert bursts([*moved, *woken], began_ms=100_000) == [
        Burst(worker="w3", from_s=20.0, until_s=20.49, answers=50, partitions=2, late_s=14.05),
        Burst(worker="w5", from_s=21.0, until_s=21.1, answers=2, partitions=1, late_s=0.02),
        Burst(worker="w5", from_s=30.0, until_s=30.0, answers=1, partitions=1, late_s=0.02),
    ]


def test_few_are_shown() -> None:
    assert bursts([], began_ms=0) == []
    assert len(bursts([VoidAnswer(0, f"w{number}", 0, 0) for number in range(100)], began_ms=0)) == SHOWN_MAX


def test_a_void_answer_is_taken_whatever_it_says() -> None:
    tally, counting_ms = VoidTally(3), np.array([5_000, 0])
    named = [(header_names.REQUEST_OFFSET, b"0"), (header_names.STATUS, b"ok")]
    raw = [*named, (header_names.CONTENT_TYPE, b"application/msgpack")]
    body = {"parameters": {"worker": "w3", "request_offset": 0}}
    tally.take(7_500, msgspec.json.encode(body), named, counting_ms)
    tally.take(7_600, msgspec.msgpack.encode(body), raw, counting_ms)
    for strange in (None, b"\xff", b"{}", b'{"parameters": {"worker": 1}}'):
        tally.take(7_700, strange, named, counting_ms)
    tally.take(7_800, b"{}", [(header_names.REQUEST_OFFSET, b"99")], counting_ms)
    assert [(void.worker, void.late_ms) for void in tally.taken] == [
        ("w3", 2_500),
        ("w3", 2_600),
        *[("?", 2_700)] * 4,
        ("?", 0),
    ]
