"""The follower whose sums `/metrics` and model health are made of: whatever is written, the next good record counts."""

import msgspec
from aiokafka import ConsumerRecord

from hotswap_events.inference.observation import LatencyCounts
from hotswap_stream.adapters.kafka.observations.follower import ObservationFollower
from hotswap_stream.application.monitoring.families import answer_families
from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.domain.statistics.latency_histogram import bucket_of
from hotswap_stream.observability.exposition import exposition
from tests.support.samples.hostile_values import hostile

NOW_MS = 1_800_000_000_000
WAITS = LatencyCounts(buckets={bucket_of(3.0): 5}, total_ms=15.0)
GOOD = AnswerFigures(
    worker_run="w",
    sequence=1,
    model_name="digits",
    role="primary",
    model_version="v1",
    answers=5,
    errors={"model-failure": 1},
    compute=WAITS,
    total=WAITS,
    queue=WAITS,
    rows=5,
    pass_rows={2: 1},
)


def record(key: bytes | None, value: bytes | None) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("observations", 0, 0, NOW_MS, 1, key, value, None, 0, 0, ())


def test_whatever_is_written_the_next_good_record_counts() -> None:
    follower = ObservationFollower({}, "observations")
    for _what, value in hostile(msgspec.json.encode(GOOD)):
        follower.fold(record(b"digits", value))
        exposition(answer_families(follower.answered))
    before = follower.recent("digits")["v1"].answers
    follower.fold(record(b"digits", msgspec.json.encode(msgspec.structs.replace(GOOD, worker_run="another"))))
    assert follower.recent("digits")["v1"].answers == before + 5


def test_a_record_that_speaks_of_another_keys_model_counts_for_nobody() -> None:
    follower = ObservationFollower({}, "observations")
    for key in (None, b"", b"fraud", b"\xff"):
        follower.fold(record(key, msgspec.json.encode(GOOD)))
    assert follower.recent("digits") == {}
    assert follower.recent("fraud") == {}
    assert follower.passed_over == 4
