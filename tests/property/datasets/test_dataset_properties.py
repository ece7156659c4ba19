"""Whatever stands in the topics: a dataset is what a plain reading of the rule gives, or an error; never a crash."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.workers.datasets.labels import FeedbackRecord
from hotswap_stream.workers.inference.requests.records import RequestRecord
from tests.support.samples.dataset_records import AT_MS, MODEL, build, build_query, feedback_record, request_record

_told = st.tuples(
    st.integers(0, 7),  # offset of the request, or number of its id
    st.booleans(),  # by place or by id
    st.integers(0, 2),  # label
    st.integers(0, 5),  # feedback id
    st.integers(0, 90),  # seconds after the requests
)


def _expected(told: list[tuple[int, bool, int, int, int]], rule: str) -> dict[int, int]:
    """Offset → label, by the rule read slowly."""
    first: dict[int, tuple[int, bool, int, int, int]] = {}
    for number in sorted(range(len(told)), key=lambda number: (told[number][4], number)):
        first.setdefault(told[number][3], told[number])
    labels: dict[int, list[int]] = {}
    for request, _by_place, label, _id, seconds in sorted(first.values(), key=lambda each: each[4]):
        if seconds <= 60 and request < 6:
            labels.setdefault(request, []).append(label)
    chosen = {}
    for request, given_labels in labels.items():
        if len(set(given_labels)) > 1 and rule == "drop":
            continue
        chosen[request] = given_labels[-1] if rule == "last" else given_labels[0]
    return chosen


@given(st.lists(_told, max_size=12, unique_by=lambda each: each[4]), st.sampled_from(("drop", "first", "last")))
def test_it_is_what_the_rule_says(told: list[tuple[int, bool, int, int, int]], rule: str) -> None:
    requests = [request_record(offset, request_id=f"r-{offset}") for offset in range(6)]
    feedback = []
    for number, (request, by_place, label, feedback_id, seconds) in enumerate(told):
        about: dict[str, Any] = {} if by_place else {"request_id": f"r-{request}"}
        fields = {"label": label, "feedback_id": f"f-{feedback_id}", "at_ms": AT_MS + seconds * 1_000, **about}
        feedback.append(feedback_record(number, request if by_place else None, **fields))
    query = build_query(contradictions=rule, label_seconds_max=60.0)
    expected = _expected(told, rule)
    with TemporaryDirectory() as folder:
        try:
            built, found = build(Path(folder), requests, feedback, query)
        except DatasetError:
            assert not expected
            return
    assert (
        dict(zip(found.inputs["x"][:, 0].astype(int).tolist(), found.truths["labels"].tolist(), strict=True))
        == expected
    )
    counts = built.counts
    left = counts.rows + counts.unlabelled + (counts.contradicting if rule == "drop" else 0)
    assert left == counts.requests == 6


_bytes = (
    st.none()
    | st.binary(max_size=60)
    | st.sampled_from(
        (
            b"[" * 500,
            b'{"inputs":[]}',
            b'{"model_name":"digits","feedback_id":"a","at":"2026-01-01T00:00:00Z","label":-1}',
        )
    )
)


@given(st.lists(st.tuples(_bytes, st.integers(-(2**62), 2**62)), max_size=5), st.lists(_bytes, max_size=5))
def test_no_bytes_stop_it(values: list[tuple[bytes | None, int]], given_values: list[bytes | None]) -> None:
    requests = [
        RequestRecord(f"hotswap.requests.{MODEL}", 0, number, at_ms, None, value, [("content-type", value)])
        for number, (value, at_ms) in enumerate(values)
    ]
    requests.append(request_record(len(requests)))
    feedback = [FeedbackRecord(0, number, AT_MS, value) for number, value in enumerate(given_values)]
    feedback += [feedback_record(100 + number, number, label=1) for number in range(len(requests))]
    with TemporaryDirectory() as folder:
        built, found = build(Path(folder), requests, feedback)
    assert found.inputs["x"].tolist() == [[float(len(requests) - 1), 0.0]]
    assert built.counts.rows == 1
    assert built.counts.requests == len(requests)
