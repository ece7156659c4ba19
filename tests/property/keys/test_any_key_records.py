"""Whatever is written to the keys topic, reading goes on, and only right secrets open anything."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.application.keys.changes import KeyOrder, made
from hotswap_stream.application.keys.records import record_key_of
from hotswap_stream.application.keys.table import KeyTable
from hotswap_stream.application.keys.token import new_token, read_token

NOW = datetime(2026, 1, 2, tzinfo=UTC)
_NEW = made(KeyTable(), KeyOrder(name="ci", scopes=("read",)), by="ada", now=NOW)
_RIGHT = (record_key_of(_NEW.record), msgspec.json.encode(_NEW.record))
_IDS = st.sampled_from([_RIGHT[0], _RIGHT[0] + b"/revoked", b"x" * 12, b"", None])
_RECORDS = st.one_of(st.tuples(_IDS, st.one_of(st.none(), st.binary(max_size=50), st.just(_RIGHT[1]))), st.just(_RIGHT))


@given(records=st.lists(_RECORDS, max_size=20))
def test_the_last_record_of_each_key_decides(records: list[tuple[bytes | None, bytes | None]]) -> None:
    """So a reader who sees what compaction left comes to the same as one who saw all."""
    whole, compacted = KeyTable(), KeyTable()
    for record in records:
        whole.apply(*record)
    last = {record[0]: position for position, record in enumerate(records)}
    for position, record in enumerate(records):
        if last[record[0]] == position:
            compacted.apply(*record)
    found = whole.find(_NEW.token, NOW)
    assert (found == _NEW.record) == (compacted.find(_NEW.token, NOW) == _NEW.record)
    assert whole.find(new_token(_NEW.token.key_id), NOW) == "unknown"


@given(text=st.text(max_size=200))
def test_any_text_is_a_token_or_none(text: str) -> None:
    token = read_token(text)
    assert token is None or token.text == text
