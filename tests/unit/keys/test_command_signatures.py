"""Signed commands: only the holder of a key that was made to sign, now, once, and within what the key may."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import DeleteArtifact
from hotswap_events.envelope import Envelope
from hotswap_events.keys import Scope
from hotswap_events.signing import Signature, WrongSignature, read_signature, signature_headers, signing_key
from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.agents.command_agent import CommandAgent, Unsigned
from hotswap_stream.application.keys import signatures
from hotswap_stream.application.keys.changes import KeyOrder, WrongKeyError, revoked, rotated
from hotswap_stream.application.keys.office import LogOffice
from hotswap_stream.application.keys.signatures import CommandSignatures
from hotswap_stream.application.keys.token import Token, read_token
from hotswap_stream.application.topics.records import InboundRecord
from tests.support.samples.registry import register
from tests.support.stages.agent_in_memory import TOPICS, AgentStage, command_record

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)


class Stage:
    """Agents with keys, at a time that stands still until it is moved."""

    def __init__(self, agents: AgentStage) -> None:
        self.agents = agents
        self.keys = MemoryKeyLog()
        self.now = NOW
        self.agent = self.new_agent()

    def new_agent(self, unsigned: Unsigned = "anybody") -> CommandAgent:
        proofs = CommandSignatures(self.keys, lambda: self.now)
        registry, publisher = self.agents.registry, self.agents.publisher
        return CommandAgent(registry, publisher, TOPICS, signatures=proofs, unsigned=unsigned)

    async def token(self, name: str = "ci", *scopes: Scope, signs: bool = True, **order: Any) -> str:
        office = LogOffice(self.keys, "tests", lambda: self.now)
        made = await office.create(KeyOrder(name=name, scopes=scopes or ("operate",), signs=signs, **order))
        assert made.signs == signs
        return made.token

    def record(self, token: str, *, offset: int = 0, signed_at_ms: int = NOW_MS, **fields: Any) -> InboundRecord:
        """A signed command."""
        command = register("v1", **{"actor": "ci", **fields})
        record = command_record(command, offset=offset)
        signed = signature_headers(token, record.topic, record.value or b"", signed_at_ms)
        return msgspec.structs.replace(record, headers=(*record.headers, *signed))

    async def refused(self, record: InboundRecord, cause: str) -> None:
        """It is refused for this, answered, and a dead letter."""
        publisher, before = self.agents.publisher, self.agent.unproven_count
        publisher.records.clear()
        await self.agent.handle(record)
        [result], [letter] = publisher.results(), publisher.on(TOPICS.dead_letters)
        assert result.refusal is not None
        assert (result.status, result.refusal.code) == ("refused", "signature-refused")
        assert cause in result.refusal.reason
        assert cause in dict(letter.headers)[headers.DEAD_LETTER_CAUSE].decode()
        assert self.agent.unproven_count == before + 1
        assert self.agents.shared.records == []


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    agents = await AgentStage().start()
    yield Stage(agents)
    await agents.stop()


def event_of(stage: Stage, at: int = -1) -> Envelope:
    event = REGISTRY_CODEC.decode(stage.agents.shared.records[at].value)
    assert isinstance(event, Envelope)
    return event


async def test_who_signs_is_the_actor(stage: Stage) -> None:
    await stage.agent.handle(stage.record(await stage.token()))
    assert (event_of(stage).actor, event_of(stage).actorby) == ("ci", "signature")
    assert stage.agent.unproven_count == 0


async def test_another_command_time_topic_or_key_does_not_hold(stage: Stage) -> None:
    token, other = await stage.token(), await stage.token("other")
    good = stage.record(token)
    changed = msgspec.json.encode(register("v2", actor="ci"))
    await stage.refused(msgspec.structs.replace(good, value=changed), "no key")
    later = tuple((name, b"1" if name == headers.SIGNED_AT else value) for name, value in good.headers)
    await stage.refused(msgspec.structs.replace(good, headers=later), "no key")
    elsewhere = signature_headers(token, "prod.commands", good.value or b"", NOW_MS)
    await stage.refused(msgspec.structs.replace(good, headers=tuple(elsewhere)), "no key")
    lie = (*signature_headers(other, good.topic, good.value or b"", NOW_MS)[1:], (headers.KEY_ID, token[4:16].encode()))
    await stage.refused(msgspec.structs.replace(good, headers=lie), "no key")
    await stage.refused(stage.record(f"hss_{'a' * 12}_{'0' * 64}"), "no key")
    await stage.refused(stage.record(await stage.token("mute", signs=False), actor="mute"), "made with --signs")


async def test_it_holds_for_minutes_and_once(stage: Stage) -> None:
    token = await stage.token()
    for seconds in (-301, 301):
        await stage.refused(stage.record(token, signed_at_ms=NOW_MS + seconds * 1_000), "by the signer's clock")
    record = stage.record(token, offset=7, command_id="c1", signed_at_ms=NOW_MS - 299_000)
    await stage.agent.handle(record)
    assert event_of(stage).actorby == "signature"
    # The very same record, read again after a crash
    await stage.agent.handle(record)
    assert [result.status for result in stage.agents.publisher.results()][-2:] == ["accepted", "unchanged"]
    stage.agents.shared.records.clear()
    await stage.refused(msgspec.structs.replace(record, offset=8), "the same was sent before: it is at offset 7")
    await stage.refused(msgspec.structs.replace(record, partition=1), "the same was sent before")
    stage.now = NOW + timedelta(seconds=1_000)
    await stage.refused(msgspec.structs.replace(record, offset=9), "by the signer's clock")


async def test_what_is_remembered_is_limited_and_never_forgotten_early(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "REMEMBERED_MAX", 2)
    token = await stage.token()
    for offset in (0, 1):
        await stage.agent.handle(stage.record(token, offset=offset, command_id=f"c{offset}", model_name="digits"))
    stage.agents.shared.records.clear()
    await stage.refused(stage.record(token, offset=2, command_id="c2"), "sign it again later")
    stage.now = NOW + timedelta(seconds=601)
    late = int(stage.now.timestamp() * 1_000)
    await stage.agent.handle(stage.record(token, offset=3, command_id="c3", signed_at_ms=late))
    assert stage.agents.publisher.results()[-1].refusal is None


async def test_a_key_signs_what_it_may_over_http_and_as_itself(stage: Stage) -> None:
    await stage.refused(stage.record(await stage.token(), actor="ada"), "another than 'ci'")
    await stage.refused(stage.record(await stage.token("of", models=("faces*",)), actor="of"), "for other models")
    with pytest.raises(WrongKeyError, match="needs the scope 'operate'"):
        await stage.token("reader", "read")
    record = command_record(DeleteArtifact(command_id="d", actor="ci2", model_name="digits", model_version="v1"))
    signed = signature_headers(await stage.token("ci2"), record.topic, record.value or b"", NOW_MS)
    await stage.refused(msgspec.structs.replace(record, headers=tuple(signed)), "needs the scope admin")


async def test_keys_that_ended_sign_no_more(stage: Stage) -> None:
    token = await stage.token(valid_seconds=60.0)
    new = rotated(stage.keys.table, "ci", old_valid_seconds=10.0, now=stage.now)
    await stage.keys.append(new.record)
    for each in (token, new.token.text):  # both, for a while
        read = read_token(each)
        assert isinstance(read, Token)
        assert signing_key(read.secret).hex() in {secret.signing for secret in new.record.secrets}
    stage.now = NOW + timedelta(seconds=20)
    await stage.refused(stage.record(token), "is expired")
    stage.now = NOW + timedelta(seconds=90)
    await stage.refused(stage.record(new.token.text), "is expired")
    other = await stage.token("two")
    await stage.keys.append(revoked(stage.keys.table, "two", by="t", reason=None, now=stage.now))
    await stage.refused(stage.record(other, actor="two"), "is revoked")


async def test_settings_say_what_unsigned_commands_count_for(stage: Stage) -> None:
    unsigned = command_record(register("v1", actor="ada", command_id="c1"))
    stage.agent = stage.new_agent("signed")
    await stage.refused(unsigned, "is not signed")
    await stage.new_agent("acl").handle(unsigned)
    assert (event_of(stage).actor, event_of(stage).actorby) == ("ada", "acl")
    await stage.new_agent("signed").handle(stage.record(await stage.token(), command_id="c2", model_name="digits"))
    stage.agents.publisher.records.clear()
    await stage.new_agent("acl").handle(command_record(register("v3", actor="topic:ada", command_id="c3")))
    [result] = stage.agents.publisher.results()
    assert result.refusal is not None
    assert result.refusal.code == "invalid-value"


async def test_no_secret_is_told(stage: Stage) -> None:
    token = await stage.token()
    await stage.refused(stage.record(token, actor="ada"), "another than")
    told = b"".join(
        (record.value or b"") + b"".join(v for _, v in record.headers) for record in stage.agents.publisher.records
    )
    assert token[17:].encode() not in told
    with pytest.raises(ValueError, match="not a token") as error:
        signature_headers("my-password", "t", b"", 1)
    assert "my-password" not in str(error.value)


_NAMES = st.sampled_from((headers.KEY_ID, headers.SIGNED_AT, headers.SIGNATURE, "other"))
_FITTING = st.sampled_from((b"a" * 12, b"1760000000000", b"0" * 64, b"9" * 15))


@given(st.lists(st.tuples(_NAMES, st.one_of(st.none(), st.binary(max_size=80), _FITTING)), max_size=6))
@example([(headers.KEY_ID, b"a" * 12), (headers.SIGNED_AT, b"9" * 400), (headers.SIGNATURE, b"0" * 64)])
@example([(headers.KEY_ID, "ä".encode() * 6), (headers.SIGNED_AT, "१".encode()), (headers.SIGNATURE, b"\n" * 64)])
def test_any_headers_are_a_signature_or_none_or_wrong(given_headers: list[tuple[str, bytes | None]]) -> None:
    found = read_signature(given_headers)
    named = [name for name, _ in given_headers if name != "other"]
    if isinstance(found, Signature):
        assert len(named) == 3
        assert len(found.hexadecimal) == 64
    else:
        assert (found is None) == (not named)
        assert found is None or isinstance(found, WrongSignature)


def test_the_recipe_of_the_documentation_gives_the_same() -> None:
    """By other means than the product's own: HKDF of a library, and the parts put together by hand."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.hmac import HMAC
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    secret, value = "0123456789abcdef" * 4, b'{"type": "x"}'
    key = HKDF(hashes.SHA256(), 32, None, b"hotswap-stream command v1").derive(secret.encode())
    assert key == signing_key(secret)
    made = HMAC(key, hashes.SHA256())
    made.update(b"v1\nhotswap.commands\nabcdefghijkm\n1760000000000\n" + value)
    token = f"hss_abcdefghijkm_{secret}"
    assert dict(signature_headers(token, "hotswap.commands", value, 1760000000000)) == {
        headers.KEY_ID: b"abcdefghijkm",
        headers.SIGNED_AT: b"1760000000000",
        headers.SIGNATURE: made.finalize().hex().encode(),
    }
