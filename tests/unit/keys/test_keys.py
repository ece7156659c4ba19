"""Keys are made, rotated and ended, and a table of their records says whose a token is."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from hotswap_stream.application.keys.changes import (
    KeyOrder,
    NewKey,
    UnknownKeyError,
    WrongKeyError,
    made,
    revoked,
    rotated,
)
from hotswap_stream.application.keys.records import KeyRecord, record_key_of
from hotswap_stream.application.keys.table import KeyTable
from hotswap_stream.application.keys.token import Token, new_token, read_token

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def written(table: KeyTable, record: KeyRecord) -> None:
    table.apply(record_key_of(record), msgspec.json.encode(record))


def key_in(table: KeyTable, name: str = "ci", **order: object) -> NewKey:
    new = made(table, msgspec.convert({"name": name, "scopes": ("read",), **order}, KeyOrder), by="ada", now=NOW)
    written(table, new.record)
    return new


def test_a_token_is_read_back_and_nothing_else_is() -> None:
    token = new_token()
    assert read_token(token.text) == token
    assert token.secret not in repr(token)
    for wrong in ("", token.secret, token.text[:-1], token.text + "0", token.text.upper(), token.text[:-1] + "é"):
        assert read_token(wrong) is None


def test_what_is_kept_of_a_key_does_not_hold_its_secret() -> None:
    new = key_in(KeyTable())
    assert new.token.secret.encode() not in msgspec.json.encode(new.record)
    assert new.record.secrets[0].sha256 == new.token.sha256


def test_a_key_opens_with_its_own_secret_only() -> None:
    table = KeyTable()
    ada, bob = key_in(table, "ada"), key_in(table, "bob")
    assert table.find(ada.token, NOW) == ada.record
    assert table.find(Token(bob.token.key_id, ada.token.secret), NOW) == "unknown"
    assert table.find(new_token(), NOW) == "unknown"


def test_an_expired_key_says_so_to_whoever_knows_its_secret_alone() -> None:
    table = KeyTable()
    new = key_in(table, valid_seconds=3_600.0)
    assert table.find(new.token, NOW + HOUR / 2) == new.record
    assert table.find(new.token, NOW + HOUR) == "expired"
    assert table.find(new_token(new.token.key_id), NOW + HOUR) == "unknown"


def test_after_a_rotation_both_secrets_are_valid_for_a_while() -> None:
    table = KeyTable()
    first = key_in(table)
    second = rotated(table, "ci", old_valid_seconds=3_600, now=NOW)
    written(table, second.record)
    assert table.find(first.token, NOW + HOUR / 2) == table.find(second.token, NOW + HOUR / 2) == second.record
    assert table.find(first.token, NOW + HOUR) == "expired"
    assert table.find(second.token, NOW + HOUR) == second.record
    third = rotated(table, first.token.key_id, old_valid_seconds=0, now=NOW)
    written(table, third.record)
    assert [table.find(new.token, NOW) for new in (first, second, third)] == ["unknown", "unknown", third.record]


def test_a_revoked_key_stays_revoked_whatever_is_written_of_it_later() -> None:
    table = KeyTable()
    new = key_in(table)
    late = rotated(table, "ci", old_valid_seconds=60, now=NOW)
    written(table, revoked(table, "ci", by="ada", reason=None, now=NOW))
    written(table, late.record)  # by somebody who had not read of the revocation
    assert table.find(new.token, NOW) == table.find(late.token, NOW) == "revoked"
    with pytest.raises(WrongKeyError, match="revoked already"):
        revoked(table, "ci", by="ada", reason=None, now=NOW)
    with pytest.raises(WrongKeyError, match="is revoked; make a new one"):
        rotated(table, "ci", old_valid_seconds=60, now=NOW)


def test_a_name_is_free_again_once_its_key_is_over() -> None:
    table = KeyTable()
    first = key_in(table)
    with pytest.raises(WrongKeyError, match="has the name 'ci'"):
        key_in(table)
    written(table, revoked(table, first.token.key_id, by="ada", reason=None, now=NOW))
    second = key_in(table)
    assert rotated(table, "ci", old_valid_seconds=0, now=NOW).token.key_id == second.token.key_id
    with pytest.raises(UnknownKeyError, match="'nobody'"):
        rotated(table, "nobody", old_valid_seconds=0, now=NOW)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"name": "rollout-analysis"}, "part of the product"),
        ({"name": "topic:ada"}, "topic:"),
        ({"name": "anonymous"}, "without a key"),
        ({"name": "a b"}, "name"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("admin",), "models": ("digits",)}, "cannot be limited"),
        ({"models": ("*",)}, "models"),
        ({"models": ("fr*ud",)}, "models"),
        ({"valid_seconds": 0.0}, "more than 0"),
        ({"valid_seconds": 1e12}, "at most"),
    ],
)
def test_what_no_key_can_be_is_said(order: dict[str, object], why: str) -> None:
    with pytest.raises(WrongKeyError, match=why):
        key_in(KeyTable(), **{"name": "ci", **order})  # type: ignore[arg-type]


def test_a_record_that_cannot_be_read_opens_nothing() -> None:
    """Also in place of a key that was there, as for a reader who comes after compaction."""
    table = KeyTable()
    new = key_in(table)
    table.apply(new.token.key_id.encode(), b"{}")
    assert table.find(new.token, NOW) == "unknown"
    other = key_in(table, "other")
    table.apply(f"{other.token.key_id}/revoked".encode(), b"\xff")
    assert table.find(other.token, NOW) == "revoked"
    moved = msgspec.structs.replace(key_in(table, "third").record, key_id="a" * 12)
    table.apply(b"b" * 12, msgspec.json.encode(moved))
    assert set(table.keys) == {other.token.key_id, *[k for k, v in table.keys.items() if v.name == "third"]}
    assert table.unreadable == 3


def test_a_tombstone_ends_a_key() -> None:
    table = KeyTable()
    new = key_in(table)
    table.apply(new.token.key_id.encode(), None)
    assert table.find(new.token, NOW) == "unknown"
    assert table.unreadable == 0
