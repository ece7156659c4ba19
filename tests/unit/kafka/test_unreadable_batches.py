"""Where a batch ends, from the bytes of its header alone."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.kafka.unreadable_batches import BatchPlace, batch_place


def batch(base: int, count: int, *, magic: int = 2, payload: bytes = b"garbage") -> bytes:
    rest = struct.pack(">ibiHiqqqhii", 0, magic, 0, 4, count - 1, 1, 1_700, -1, -1, -1, count) + payload
    return struct.pack(">qi", base, len(rest)) + rest


def test_the_first_batch_that_reaches_the_offset_is_found() -> None:
    content = batch(0, 5) + batch(5, 1) + batch(9, 3)
    assert batch_place(content, 2) == BatchPlace(0, 4, 1_700)
    assert batch_place(content, 5) == BatchPlace(5, 5, 1_700)
    assert batch_place(content, 7) == BatchPlace(9, 11, 1_700)
    assert batch_place(content, 12) is None
    assert batch_place(b"", 0) is None
    assert batch_place(batch(0, 5, magic=1), 0) is None


@given(st.binary(max_size=200), st.integers(0, 2**63 - 1))
def test_any_bytes_are_read_without_an_error(content: bytes, offset: int) -> None:
    found = batch_place(content, offset)
    assert found is None or found.first_offset <= found.last_offset >= offset
