"""What anybody may write into a windows topic: passed over and counted, so that no worker ends by it."""

from typing import Any

import msgspec
import pytest

from hotswap_events.inference.windows import WINDOW_BYTES_MAX, WindowRecord, marker_key, window_key
from hotswap_stream.application.windows.fold import WindowFold

RULE: dict[str, Any] = {"input": "x", "datatype": "FP32", "features": 1, "steps": 4}
RECORD: dict[str, Any] = RULE | {"request_offset": 5, "data": bytes(16)}
MARKER: dict[str, Any] = {"next_offset": 6, "rule": RULE, "rule_number": 1}


def folded(*records: tuple[bytes, Any]) -> WindowFold[WindowRecord]:
    fold = WindowFold(WindowRecord)
    for key, value in records:
        fold.apply(key, value if isinstance(value, bytes) else msgspec.msgpack.encode(value))
    return fold


GOOD = ((window_key("w", b"a"), RECORD), (marker_key("w"), MARKER))


@pytest.mark.parametrize(
    "changes",
    [
        {"next_offset": 2**63},
        {"next_offset": -1},
        {"rule_number": 2**64 - 1},  # one more of them cannot be written
        {"evicted": 2**64 - 1},
        {"evicted": -1},
        {"rule": RULE | {"steps": WINDOW_BYTES_MAX}},  # a window without an end
        {"rule": RULE | {"steps": 0}},
        {"rule": RULE | {"features": 2**64 - 1}},
        {"rule": RULE | {"datatype": "BYTES"}},
        {"rule": RULE | {"input": ""}},  # no tensor has this name, and windows of another input are not kept
        {"rule": RULE | {"input": "x" * 1_000}},
        {"rule": None},
    ],
)
def test_a_marker_that_no_worker_writes_is_passed_over(changes: dict[str, Any]) -> None:
    """A forged marker made the worker count beyond what can be written, and end."""
    fold = folded(*GOOD, (marker_key("forged"), MARKER | changes))
    assert fold.unreadable == 1
    assert fold.marker is not None
    assert (fold.marker.next_offset, fold.marker.rule_number, fold.marker_writers) == (6, 1, {"w"})


@pytest.mark.parametrize(
    "changes",
    [
        {"request_offset": 2**63},
        {"request_offset": -2},
        {"steps": 0},
        {"input": ""},
        {"features": 2**62},
        {"ids": {str(number): number for number in range(33)}},
        {"ids": {"a": 2**63}},
        {"data": "text"},
    ],
)
def test_a_window_that_no_worker_writes_is_passed_over(changes: dict[str, Any]) -> None:
    fold = folded(*GOOD, (window_key("forged", b"a"), RECORD | changes))
    assert fold.unreadable == 1
    assert [(series, record.request_offset) for series, record, _ in fold.windows()] == [(b"a", 5)]


def test_a_window_of_a_request_that_does_not_exist_does_not_hold() -> None:
    """A record with the highest request offset there is kept a series as it was, for ever."""
    forged = (window_key("forged", b"a"), RECORD | {"request_offset": 2**63 - 1})
    alone = (window_key("forged", b"b"), RECORD | {"request_offset": 6})
    fold = folded(*GOOD, forged, alone)
    ((series, record, writers),) = fold.windows(below=6)
    assert (series, record.request_offset, set(writers)) == (b"a", 5, {"w", "forged"})
    assert len(list(fold.windows())) == 2


@pytest.mark.parametrize("key", [window_key("w", b"b"), marker_key("v")])
def test_a_record_that_nests_without_end_is_passed_over(key: bytes) -> None:
    """No error of decoding comes of it, but one of Python's stack: the worker's life ended by it, again and again."""
    fold = folded(*GOOD, (key, b"\x81\xa1x" + b"\x91" * 200_000 + b"\xc0"))
    assert fold.unreadable == 1
    assert [series for series, _record, _writers in fold.windows()] == [b"a"]
    assert fold.marker_writers == {"w"}
