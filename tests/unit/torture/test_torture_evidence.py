"""What is kept of the brokers' files: which producer wrote a request, and what stands around it."""

from pathlib import Path
from typing import Any

import msgspec
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from hotswap_events import headers as header_names
from tests.torture import evidence
from tests.torture.findings import Place

TOPICS = ("t.requests.m", "t.responses.m")


def _batch(base: int, values: list[bytes], *, epoch: int, sequence: int, headers: list[Any] | None = None) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=7,
        producer_epoch=epoch,
        base_sequence=sequence,
        batch_size=1 << 20,
    )
    for place, value in enumerate(values):
        builder.append(place, 1_000 + base + place, None, value, headers or [("torture-number", value)])
    content = bytearray(builder.build())
    content[:8] = base.to_bytes(8)
    return bytes(content)


def _log(data_dir: Path, topic: str, *batches: bytes) -> Path:
    folder = data_dir / f"{topic}-46"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00000000000000000000.log"
    path.write_bytes(b"".join(batches))
    return path


def _lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_who_wrote_a_request_twice_is_told_by_the_epoch_of_its_producer(tmp_path: Path) -> None:
    first = _batch(0, [b"%d" % number for number in range(100)], epoch=0, sequence=0)
    again = _batch(100, [b"%d" % number for number in range(94, 105)], epoch=1, sequence=0)
    answers = [
        _batch(place, [b"{}"], epoch=0, sequence=place, headers=[(header_names.REQUEST_OFFSET, b"%d" % place)])
        for place in range(111)
    ]
    nodes = [tmp_path / "1", tmp_path / "2", tmp_path / "away"]
    for node in nodes[:2]:
        _log(node, TOPICS[0], first, again)
        _log(node, TOPICS[1], *answers)
    kept = tmp_path / "kept"
    said = evidence.keep([Place(46, 94), Place(46, 100)], nodes, TOPICS, kept)
    assert "46/94 lies in the batch 0…99 by producer 7 epoch 0" in said[0]
    assert "46/100 lies in the batch 100…110 by producer 7 epoch 1" in said[1]
    lines = _lines(kept / "t.requests.m-46.jsonl")
    assert lines[0] == {"batches_by_broker": [2, 2, 0]}
    changes = [line["producer_changes"] for line in lines if "producer_changes" in line]
    assert [(change["producer_epoch"], change["base_sequence"]) for change in changes] == [(0, 0), (1, 0)]
    records = [line for line in lines if "offset" in line]
    assert [record["offset"] for record in records] == list(range(94 - evidence.AROUND, 111))
    assert records[-1]["headers"] == [["torture-number", "104"]]
    answered = [line for line in _lines(kept / "t.responses.m-46.jsonl") if "offset" in line]
    assert [answer["offset"] for answer in answered] == list(range(94 - evidence.AROUND, 111))


def test_copies_that_differ_are_named_and_half_a_batch_is_no_batch(tmp_path: Path) -> None:
    first, second = _batch(0, [b"0"], epoch=0, sequence=0), _batch(1, [b"1"], epoch=0, sequence=1)
    other = _batch(1, [b"x"], epoch=0, sequence=1)
    nodes = [tmp_path / "1", tmp_path / "2", tmp_path / "away"]
    _log(nodes[0], TOPICS[0], first, second, second[:20])
    _log(nodes[1], TOPICS[0], first, other, second[:-1])
    evidence.keep([Place(46, 0)], nodes, TOPICS, tmp_path / "kept")
    lines = _lines(tmp_path / "kept" / "t.requests.m-46.jsonl")
    assert lines[0] == {"batches_by_broker": [2, 2, 0]}
    assert [copy["base_offset"] for copy in lines[1]["copies_differ_from"]] == [1, 1]


def test_a_partition_that_nobody_has_says_nothing(tmp_path: Path) -> None:
    assert evidence.keep([Place(1, 5)], [tmp_path], TOPICS, tmp_path / "kept") == []
    assert list((tmp_path / "kept").iterdir()) == []
