"""Sessions open what their key opens, for a while, and never longer than the key."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.application.keys.access import Access
from hotswap_stream.application.keys.attempts import WrongAttempts
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from hotswap_stream.application.keys.sessions import OpenSession, SessionLimits, Sessions
from hotswap_stream.home.session_file import SessionFile

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMITS = SessionLimits(seconds_max=3_600, idle_seconds_max=600, sessions_max=4, sessions_per_key_max=3)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class KeptBytes:
    """What was written last."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.written = 0

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content
        self.written += 1

    def stamp(self) -> int | None:
        return None if self.content is None else self.written

    def alone(self) -> AbstractContextManager[None]:
        return nullcontext()


class Keys:
    """A log of keys, one key in the settings, and the sessions on them."""

    def __init__(self) -> None:
        self.log = MemoryKeyLog()
        self.office = LogOffice(self.log, "test", lambda: NOW)
        self.access = Access({"deploy": "key-of-the-settings"}, self.log)
        self.store = KeptBytes()
        self.sessions = Sessions(self.access, LIMITS, self.store)

    def started_again(self) -> None:
        self.sessions = Sessions(self.access, LIMITS, self.store)

    async def made(self, name: str, **order: object) -> str:
        wanted = msgspec.convert({"name": name, "scopes": ("read",), **order}, KeyOrder)
        return (await self.office.create(wanted)).token

    def begun(self, token: str, now: datetime = NOW) -> str:
        begun = self.sessions.begin(token, now)
        assert not isinstance(begun, str), begun
        return begun[0]

    def name(self, session_id: str, now: datetime = NOW) -> str | None:
        """Whose session it is, or why it is nobody's."""
        found = self.sessions.find(session_id, now)
        return found.caller.name if isinstance(found, OpenSession) else found


@pytest.fixture
def keys() -> Keys:
    return Keys()


async def test_a_session_is_its_keys_until_it_is_ended(keys: Keys) -> None:
    ada, bob = keys.begun(await keys.made("ada", models=("dig*",))), keys.begun(await keys.made("bob"))
    assert (keys.name(ada), keys.name(bob)) == ("ada", "bob")
    found = keys.sessions.find(ada, NOW)
    assert isinstance(found, OpenSession)
    assert (found.caller.scopes, found.caller.models) == (frozenset({"read"}), ("dig*",))
    keys.sessions.end(ada, NOW)
    assert (keys.name(ada), keys.name(bob)) == ("unknown", "bob")


async def test_ids_are_long_random_and_not_kept(keys: Keys) -> None:
    token = await keys.made("ada")
    ids = {keys.begun(token) for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) >= 43 for each in ids)
    kept = repr(vars(keys.sessions)) + repr(keys.store.content)
    assert not any(each in kept for each in ids)
    assert token not in kept


@pytest.mark.parametrize("wrong", ["", "x", "hss_", "é" * 40, "key-of-the-setting"])
async def test_a_wrong_key_begins_nothing(keys: Keys, wrong: str) -> None:
    assert keys.sessions.begin(wrong, NOW) == "unknown"
    assert len(keys.sessions) == 0


async def test_revoking_the_key_ends_its_sessions_at_once(keys: Keys) -> None:
    token = await keys.made("ada")
    session = keys.begun(token)
    await keys.office.revoke("ada", None)
    assert keys.name(session) == keys.name(session) == "revoked"
    assert keys.sessions.begin(token, NOW) == "revoked"


async def test_a_session_ends_with_the_secret_it_was_begun_with(keys: Keys) -> None:
    session = keys.begun(await keys.made("ada"))
    fresh = keys.begun((await keys.office.rotate("ada", 60)).token)
    assert keys.name(session, after(59)) == "ada"
    assert keys.name(session, after(61)) == "expired"
    assert keys.name(fresh, after(61)) == "ada"


async def test_a_session_ends_with_an_expiring_key(keys: Keys) -> None:
    session = keys.begun(await keys.made("ada", valid_seconds=100.0))
    assert keys.name(session, after(99)) == "ada"
    assert keys.name(session, after(101)) == "expired"


async def test_a_session_ends_when_idle_and_at_the_latest_after_its_time(keys: Keys) -> None:
    token = await keys.made("ada")
    idle, used = keys.begun(token), keys.begun(token)
    for seconds in range(500, 3_600, 500):
        assert keys.name(used, after(seconds)) == "ada"
    assert keys.name(used, after(3_600)) == "expired"
    assert keys.name(idle, after(601)) == "idle"


async def test_a_clock_that_goes_back_makes_no_session_longer(keys: Keys) -> None:
    session = keys.begun(await keys.made("ada"))
    assert keys.name(session, after(500)) == "ada"
    assert keys.name(session, after(-100)) == "ada"
    assert keys.name(session, after(1_101)) == "idle"
    later = keys.begun(await keys.made("bob"), after(4_000))
    assert keys.name(later, NOW) == "expired"


async def test_a_key_of_the_settings_begins_sessions_too(keys: Keys) -> None:
    session = keys.begun("key-of-the-settings")
    assert keys.name(session) == "deploy"
    changed = Sessions(Access({"deploy": "another-key-there"}, keys.log), LIMITS, keys.store)
    assert changed.find(session, NOW) == "unknown"


async def test_one_key_has_so_many_sessions_and_all_together_so_many(keys: Keys) -> None:
    token, other = await keys.made("ada"), await keys.made("bob")
    first, *more = [keys.begun(token) for _ in range(4)]
    assert keys.name(first) == "unknown"
    bobs = [keys.begun(other), keys.begun(other)]
    assert len(keys.sessions) == LIMITS.sessions_max
    # Whoever has most gave one up, the one that was used least recently.
    assert [keys.name(each) for each in (*more, *bobs)] == ["unknown", "ada", "ada", "bob", "bob"]


async def test_sessions_that_have_ended_make_room_first(keys: Keys) -> None:
    token, other = await keys.made("ada"), await keys.made("bob")
    old = [keys.begun(token) for _ in range(3)] + [keys.begun(other)]
    fresh = keys.begun(other, after(1_000))
    assert len(keys.sessions) == 1
    assert keys.name(fresh, after(1_000)) == "bob"
    assert {keys.name(each, after(1_000)) for each in old} == {"unknown"}


async def test_sessions_outlast_a_restart_and_no_longer_than_they_would_have(keys: Keys) -> None:
    ada, bob = keys.begun(await keys.made("ada")), keys.begun(await keys.made("bob"))
    assert keys.name(ada, after(500)) == "ada"
    keys.sessions.end(bob, after(500))
    keys.started_again()
    assert (keys.name(ada, after(1_000)), keys.name(bob, after(1_000))) == ("ada", "unknown")
    keys.started_again()
    await keys.office.revoke("ada", None)
    assert keys.name(ada, after(1_000)) == "revoked"


async def test_servers_with_one_store_share_sessions(keys: Keys) -> None:
    other = Sessions(keys.access, LIMITS, keys.store)
    token = await keys.made("ada")
    here = keys.begun(token)
    assert isinstance(other.find(here, after(1)), OpenSession)
    begun = other.begin(token, after(2))
    assert not isinstance(begun, str)
    assert keys.name(begun[0], after(3)) == keys.name(here, after(3)) == "ada"
    other.end(here, after(4))
    assert (keys.name(here, after(5)), keys.name(begun[0], after(5))) == ("unknown", "ada")
    # A use that one of them saw keeps the session for all.
    for seconds in range(400, 2_000, 400):
        assert isinstance(other.find(begun[0], after(seconds)), OpenSession)
    assert keys.name(begun[0], after(1_900)) == "ada"
    # What somebody else puts there ends nothing.
    keys.store.write(b"[]")
    assert keys.name(begun[0], after(1_901)) == "ada"


async def test_sessions_that_could_not_be_kept_last_beside_others(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    servers = [Sessions(keys.access, LIMITS, SessionFile(tmp_path / "home")) for _ in range(2)]
    token = await keys.made("ada")
    begun = servers[0].begin(token, NOW)
    assert not isinstance(begun, str)
    (tmp_path / "home").unlink()
    later = servers[1].begin(token, after(1))
    assert not isinstance(later, str)
    for session_id in (begun[0], later[0]):
        assert isinstance(servers[0].find(session_id, after(2)), OpenSession)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{", b'{"a": 1}', b"[" * 100_000, b'{"a": {}}'])
async def test_a_file_of_any_bytes_begins_nothing(keys: Keys, content: bytes) -> None:
    keys.store.content = content
    keys.started_again()
    assert len(keys.sessions) == 0
    assert keys.name(keys.begun(await keys.made("ada"))) == "ada"


async def test_no_file_makes_a_session_last_longer(keys: Keys) -> None:
    session = keys.begun(await keys.made("ada"))
    assert keys.store.content is not None
    keys.store.content = keys.store.content.replace(b"2026", b"2126")
    keys.started_again()
    assert keys.name(session) == "expired"


def test_the_file_is_its_owners_alone_and_may_be_missing_or_unwritable(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / "home")
    assert file.read() is None
    file.write(b"{}")
    assert file.read() == b"{}"
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()] == [0o600]
    (tmp_path / "file").write_text("")
    SessionFile(tmp_path / "file").write(b"{}")
    assert SessionFile(tmp_path / "file").read() is None


def test_wrong_attempts_are_counted_by_client_and_forgiven_after_a_minute() -> None:
    attempts = WrongAttempts(per_minute_max=2, clients_max=2)
    attempts.count("a", 0.0)
    assert attempts.wait_s("a", 1.0) == 0
    attempts.count("a", 1.0)
    assert attempts.wait_s("a", 2.0) == 58
    assert attempts.wait_s("b", 2.0) == 0
    assert attempts.wait_s("a", 60.0) == 0
    attempts.count("a", 61.0)
    assert attempts.wait_s("a", 62.0) == 0
    for client in "bcdefg":
        attempts.count(client, 63.0)
    assert len(attempts) == 2
