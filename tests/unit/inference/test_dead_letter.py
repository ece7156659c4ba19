"""Dead letters fit into a record of 1 MiB, whatever the record they are of holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events import headers
from hotswap_stream.application.topics.dead_letter import dead_letter, smallest_dead_letter
from hotswap_stream.application.topics.records import OutboundRecord
from hotswap_stream.workers.inference.requests.records import RequestRecord

RECORD_BYTES_MAX = 1024**2 - 10_000
TOPIC = "t" * 249

sizes = st.sampled_from([0, 1, 200, 201, 1_000, 1_001, 250_000, 1_000_000, 12 * 1024**2])
contents = st.none() | st.builds(lambda size: b"\xff" * size, sizes)


def size_of(letter: OutboundRecord) -> int:
    parts = [letter.topic.encode(), letter.key or b"", letter.value or b""]
    for name, value in letter.headers:
        parts += [name.encode(), value]
    return sum(map(len, parts))


@given(
    key=contents,
    value=contents,
    names=st.lists(st.sampled_from([headers.CONTENT_TYPE, "x", "y" * 1_000]), max_size=4),
    content=contents,
    cause=st.sampled_from(["", "why", "\U0001f9ca" * 100_000, "\ud800" * 5_000]),
)
def test_every_dead_letter_fits_into_a_record(
    key: bytes | None, value: bytes | None, names: list[str], content: bytes | None, cause: str
) -> None:
    """200 kB of content type beside 900 kB of value made a dead letter that no broker takes."""
    record = RequestRecord(TOPIC, 2**31 - 1, 2**63 - 1, -1, key, value, [(name, content) for name in names])
    letter = dead_letter(record, cause, topic=TOPIC)
    assert size_of(letter) <= RECORD_BYTES_MAX
    found = dict(letter.headers)
    assert found[headers.ORIGIN_OFFSET] == b"%d" % (2**63 - 1)
    assert len(found[headers.DEAD_LETTER_CAUSE].decode()) <= 1_000
    assert size_of(smallest_dead_letter(record, cause, topic=TOPIC)) < 6_000


@pytest.mark.parametrize("size", [200, 201])
def test_a_content_type_comes_along_if_it_may_be_one(size: int) -> None:
    record = RequestRecord("t", 0, 0, 0, None, b"", [("x", b"y"), (headers.CONTENT_TYPE, b"x" * size)])
    letter = dead_letter(record, "why", topic="d")
    assert (headers.CONTENT_TYPE in dict(letter.headers)) == (size == 200)
