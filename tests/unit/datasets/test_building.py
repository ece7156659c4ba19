"""A dataset of requests and what turned out about them: which rows it has, by the written rule, and which bytes."""

from pathlib import Path

import numpy as np
import pytest

from hotswap_events.dataset import DatasetFilter, DatasetSplit
from hotswap_events.inference.signature import TensorSignature
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.application.artifacts.file import digest_of_artifact
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.workers.datasets.building import BuildLimits
from hotswap_stream.workers.datasets.labels import FeedbackRecord
from hotswap_stream.workers.datasets.rows import RowMaker, fingerprint, fingerprints_of, share_of
from tests.support.samples.dataset_records import AT_MS, build, build_query, feedback_record, request_record

REQUESTS = [request_record(offset) for offset in range(6)]


def test_requests_are_joined_with_what_is_known_about_them(tmp_path: Path) -> None:
    requests = [*REQUESTS, request_record(0, partition=1), request_record(7, partition=1)]
    feedback = [
        feedback_record(0, 4, label=4),
        feedback_record(1, 1, label=1),
        feedback_record(2, 7, partition=1, label=9),
    ]
    built, found = build(tmp_path, requests, feedback)
    assert found.inputs["x"].tolist() == [[1.0, 0.0], [4.0, 0.0], [7.0, 1.0]]
    assert found.inputs["x"].dtype == np.float32
    assert found.truths["labels"].tolist() == [1, 4, 9]
    assert found.facts.kind == "classification"
    counts = built.counts
    assert (counts.requests, counts.rows, counts.unlabelled, counts.feedback) == (8, 3, 5, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["column-0", "column-1", "dataset", "labels"]


def test_the_bytes_are_those_of_a_labelled_set_whatever_the_order_of_the_feedback(tmp_path: Path) -> None:
    feedback = [feedback_record(number, number, label=number % 3) for number in range(6)]
    built, found = build(tmp_path / "a", REQUESTS, feedback)
    again, _ = build(tmp_path / "b", REQUESTS, feedback[::-1])
    content = built.file.path.read_bytes()
    assert content == again.file.path.read_bytes() == pack_set(found)
    assert (built.file.digest, built.file.size_bytes) == (digest_of_artifact(content), len(content))
    assert built == type(built)(built.file, again.counts)


@pytest.mark.parametrize(("rule", "labels"), [("drop", [5]), ("first", [7, 5]), ("last", [8, 5])])
def test_feedback_that_contradicts_itself(tmp_path: Path, rule: str, labels: list[int]) -> None:
    feedback = [
        feedback_record(2, 1, label=8),
        feedback_record(0, 1, label=7),
        feedback_record(3, 2, label=5),
        feedback_record(4, 2, label=5),
    ]
    built, found = build(tmp_path, REQUESTS, feedback, build_query(contradictions=rule))
    assert found.truths["labels"].tolist() == labels
    assert built.counts.contradicting == 1


def test_feedback_sent_twice_counts_once_and_late_feedback_not_at_all(tmp_path: Path) -> None:
    feedback = [
        feedback_record(0, 1, label=1, feedback_id="same"),
        feedback_record(1, 1, label=2, feedback_id="same"),
        feedback_record(2, 2, label=3, at_ms=AT_MS + 61_000),
        feedback_record(3, 3, label=3, at_ms=AT_MS + 60_000),
    ]
    built, found = build(tmp_path, REQUESTS, feedback, build_query(label_seconds_max=60.0))
    assert found.truths["labels"].tolist() == [1, 3]
    counts = built.counts
    assert (counts.feedback_repeated, counts.feedback_late, counts.contradicting) == (1, 1, 0)
    assert counts.unlabelled == 4


def test_an_id_names_the_newest_request_that_has_it(tmp_path: Path) -> None:
    requests = [
        request_record(0, request_id="a", at_ms=AT_MS + 5),
        request_record(1, request_id="a", at_ms=AT_MS + 4),
        request_record(2, request_id="b"),
        request_record(0, partition=1, request_id="b"),
        request_record(1, partition=1, request_id="c"),
    ]
    feedback = [
        feedback_record(0, request_id="a", label=1),
        feedback_record(1, request_id="b", label=2),
        feedback_record(2, request_id="unknown", label=3),
        feedback_record(3, 1, partition=1, request_id="a", label=4),
    ]
    built, found = build(tmp_path, requests, feedback)
    assert found.inputs["x"].tolist() == [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert found.truths["labels"].tolist() == [1, 2, 4]
    assert built.counts.feedback_elsewhere == 1


def test_records_that_are_none_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    requests = [
        request_record(0, value=b"\xff\x00"),
        request_record(1, value=None),
        request_record(2, [1.0, 2.0, 3.0, 4.0]),
        request_record(3, value=b'{"inputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'),
        request_record(4, value=b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":["a","b"]}]}'),
        request_record(5),
    ]
    feedback = [
        *(feedback_record(number, number, label=1) for number in range(6)),
        feedback_record(6, 999, label=1),
        feedback_record(7, 5, reward=1.0),
        FeedbackRecord(0, 8, AT_MS, b"[" * 100_000),
        FeedbackRecord(0, 9, AT_MS, None),
        FeedbackRecord(0, 10, AT_MS, b'{"model_name": "digits"}'),
        feedback_record(11, 5, model_name="another", label=3),
    ]
    built, found = build(tmp_path, requests, feedback)
    assert len(found) == 1
    counts = built.counts
    assert (counts.unreadable, counts.many_rows, counts.unfit, counts.rows) == (2, 1, 2, 1)
    assert (counts.feedback, counts.feedback_unreadable, counts.feedback_elsewhere) == (8, 3, 2)


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    feedback = [
        feedback_record(0, 0, label=0, actor="ada", reward=1.0),
        feedback_record(1, 1, label=1, actor="ada", reward=0.1),
        feedback_record(2, 2, label=1, actor="bob", reward=1.0),
        feedback_record(3, 3, label=1, actor="ada"),
        feedback_record(4, 4, label=1, actor="ada", reward=1.0),
    ]
    where = DatasetFilter(labels=(1,), actors=("ada",), reward_min=0.5)
    built, found = build(tmp_path, REQUESTS, feedback, build_query(where=where))
    assert found.inputs["x"].tolist() == [[4.0, 0.0]]
    assert (built.counts.filtered, built.counts.feedback_elsewhere) == (3, 1)


def test_a_split_is_by_the_id_and_its_parts_are_everything_once(tmp_path: Path) -> None:
    requests = [request_record(offset, request_id=f"r-{offset}") for offset in range(40)] + [
        request_record(offset, partition=1) for offset in range(40)
    ]
    feedback = [feedback_record(number, number % 40, partition=number // 40, label=1) for number in range(80)]
    parts = []
    for begin, end in ((0.0, 0.7), (0.7, 1.0)):
        query = build_query(split=DatasetSplit(begin=begin, end=end, seed="s"))
        built, found = build(tmp_path / str(begin), requests, feedback, query)
        assert built.counts.other_part + built.counts.rows == 80
        parts.append({tuple(row) for row in found.inputs["x"].tolist()})
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 80
    split = DatasetSplit(begin=0.0, end=1.0, seed="s")
    assert share_of(split, "r-1") == share_of(split, "r-1") != share_of(DatasetSplit(begin=0.0, end=1.0), "r-1")


def test_no_row_of_the_validation_set_gets_in(tmp_path: Path) -> None:
    query = build_query()
    specs = RowMaker(query, lambda _row: False).specs
    held_out = fingerprints_of({"x": np.array([[1.0, 0.0], [3.0, 0.0], [9.0, 9.0]])}, specs)
    feedback = [feedback_record(number, number, label=1) for number in range(6)]
    built, found = build(tmp_path, REQUESTS, feedback, query, is_excluded=lambda row: fingerprint(row) in held_out)
    assert found.inputs["x"][:, 0].tolist() == [0.0, 2.0, 4.0, 5.0]
    assert built.counts.in_validation_set == 2
    assert fingerprints_of({"other": np.zeros((1, 2))}, specs) == frozenset()
    texts = np.array([["a", "b"]], object)
    assert fingerprints_of({"x": texts}, specs) == frozenset()


def test_values_rewards_and_items_as_truths(tmp_path: Path) -> None:
    values = [
        feedback_record(0, 0, value=1.5),
        feedback_record(1, 1, value=(1.0, 2.0)),
        feedback_record(2, 2, value=2.5),
    ]
    built, found = build(tmp_path / "value", REQUESTS, values, build_query(truth="value"))
    assert found.truths["target"].tolist() == [1.5, 2.5]
    assert (found.facts.kind, built.counts.unfit) == ("regression", 1)
    rewards = [feedback_record(0, 3, reward=0.5, label=1)]
    _, found = build(tmp_path / "reward", REQUESTS, rewards, build_query(truth="reward"))
    assert found.truths["target"].tolist() == [0.5]
    items = [
        feedback_record(0, 1, items=(7, 8)),
        feedback_record(1, 1, items=(8, 9)),
        feedback_record(2, 2, items=("a",)),
    ]
    built, found = build(tmp_path / "items", REQUESTS, items, build_query(truth="items"))
    assert found.inputs["x"][:, 0].tolist() == [1.0, 1.0, 1.0]
    assert found.truths["labels"].tolist() == [7, 8, 9]
    assert (built.counts.contradicting, built.counts.unfit) == (0, 1)


def test_texts_and_whole_requests(tmp_path: Path) -> None:
    texts = [
        request_record(number, value=b'{"inputs":[{"name":"t","datatype":"BYTES","shape":[1,1],"data":["%s"]}]}' % word)
        for number, word in enumerate((b"one", "z\u00f6".encode(), b""))
    ]
    feedback = [feedback_record(number, number, label=number) for number in range(3)]
    query = build_query(inputs=(TensorSignature(name="t", datatype="BYTES", shape=(-1, 1)),))
    _, found = build(tmp_path / "texts", texts, feedback, query)
    assert found.inputs["t"].tolist() == [["one"], ["zö"], [""]]
    whole = build_query(inputs=(TensorSignature(name="x", datatype="FP32", shape=(-1, 2)),), batching="request")
    requests = [request_record(0, [1.0, 2.0, 3.0, 4.0]), request_record(1, [5.0, 6.0, 7.0, 8.0]), request_record(2)]
    built, found = build(tmp_path / "whole", requests, feedback, whole)
    assert found.inputs["x"].shape == (2, 2, 2)
    assert built.counts.unfit == 1


def test_without_a_row_with_too_many_or_too_large_there_is_an_error(tmp_path: Path) -> None:
    feedback = [feedback_record(number, number, label=1) for number in range(6)]
    with pytest.raises(DatasetError, match="no row to train on: requests 6, rows 0, unlabelled 6"):
        build(tmp_path / "none", REQUESTS, [])
    with pytest.raises(DatasetError, match="more than 3 rows"):
        build(tmp_path / "many", REQUESTS, feedback, build_query(rows_max=3))
    with pytest.raises(DatasetError, match="more than 20 bytes"):
        build(tmp_path / "large", REQUESTS, feedback, limits=BuildLimits(bytes_max=20, seconds_max=60.0))
    with pytest.raises(DatasetError, match="longer than 0 s"):
        build(tmp_path / "slow", REQUESTS, feedback, limits=BuildLimits(bytes_max=10_000, seconds_max=0.0))
    with pytest.raises(DatasetError, match="told to stop"):
        build(tmp_path / "stopped", REQUESTS, feedback, stopped=lambda: True)
