"""Two releases on one log: what UPGRADING.md says may be mixed, on the golden histories.

The older release is today's code without some kind of event: it meets that kind as it would meet what a newer release
writes.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path

import msgspec
import pytest

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.audit.audit import verify_records
from hotswap_stream.application.audit.export import read_export
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry import fold as folding
from hotswap_stream.application.registry.fold import RegistryFold, Void
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import UnreadableEventError
from tests.replay.make_history import HISTORIES
from tests.support.samples.registry import CountingIds, register

FILES = sorted(path for path in HISTORIES.glob("*/*.jsonl") if path.stem != "disturbed")
"""In what is disturbed there are events that contradict the state; only who reads them can tell."""
_TYPE = re.compile(rb'"type":"(hotswap\.[^"]+)"')


def records_of(path: Path) -> list[LogRecord]:
    return list(read_export(BytesIO(path.read_bytes())))


def kinds_in(records: Sequence[LogRecord]) -> list[bytes]:
    """The kinds of events in a history, those that came last first: a newer release's are more likely among them."""
    found: dict[bytes, None] = {}
    for record in reversed(records):
        if not isinstance(REGISTRY_CODEC.decode(record.value), UnreadableEvent | UnknownEvent):
            match = _TYPE.search(record.value or b"")
            assert match is not None
            found.setdefault(match[1])
    return list(found)


@contextmanager
def older_release(monkeypatch: pytest.MonkeyPatch, unknown: bytes) -> Iterator[None]:
    """Fold as a release does that does not know this kind of event."""

    def decode(value: bytes | None) -> object:
        return REGISTRY_CODEC.decode(
            None if value is None else value.replace(b'"type":"%s"' % unknown, b'"type":"hotswap.of-a-newer.v1"', 1)
        )

    with monkeypatch.context() as patched:
        patched.setattr(folding, "_decode", decode)
        yield


def what_counts(fold: RegistryFold, records: Sequence[LogRecord]) -> list[bool]:
    return [not isinstance(fold.apply(record), Void) for record in records]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_releases_agree_which_events_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = records_of(path)
    newer = RegistryFold()
    counted = what_counts(newer, records)
    for unknown in kinds_in(records):
        with older_release(monkeypatch, unknown):
            older = RegistryFold()
            assert what_counts(older, records) == counted, unknown
        for name, stream in newer.streams.items():
            same = older.streams[name]
            assert (same.head_digest, same.offset) == (stream.head_digest, stream.offset), (unknown, name)
            assert same.state.sequence == stream.state.sequence
            assert same.state.command_ids == stream.state.command_ids
            assert same.command_digests == stream.command_digests


def registry_on(records: Sequence[LogRecord], source: str) -> tuple[Registry, MemoryRegistry]:
    shared = MemoryRegistry(SystemClock())
    shared.records.extend(records)
    return Registry(MemoryRegistryLog(shared), clock=SystemClock(), ids=CountingIds(), source=source), shared


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_the_newer_release_goes_on_from_what_the_older_wrote(path: Path) -> None:
    """And what it writes, with attributes that the older does not know, is in the same chain."""
    registry, shared = registry_on(records_of(path), "/newer/agents")
    await registry.start()
    try:
        numbers = count()
        for name in sorted(registry.fold.streams):
            asked = register(f"of-the-newer-{next(numbers)}", model_name=name, command_id=f"newer-{name}")
            if registry.fold.state(name).unknown_event_type is not None:  # of a release that is newer still
                with pytest.raises(UnreadableEventError):
                    await registry.handle(asked)
                continue
            assert (await registry.handle(asked, actor_by="key")).status == "accepted"
        assert [finding.damage for finding in verify_records(shared.records).findings] == [
            finding.damage for finding in verify_records(records_of(path)).findings
        ]
    finally:
        await registry.stop()


async def test_the_older_release_decides_on_all_models_but_those_it_cannot_read() -> None:
    records = records_of(HISTORIES / "0.1.0" / "lifecycle.jsonl")
    names = sorted({msgspec.json.decode(record.value or b"")["subject"] for record in records})
    assert len(names) > 1
    hidden = b"hotswap.model.trained.v2"
    registry, shared = registry_on(records, "/newer/agents")
    await registry.start()
    await registry.handle(register("of-the-newer", model_name=names[0], command_id="newer"))
    await registry.stop()
    # What the newer release wrote of this model is of a kind that the older does not know.
    last = shared.records[-1]
    shared.records[-1] = LogRecord(
        last.offset, last.timestamp_ms, last.key, (last.value or b"").replace(b"hotswap.model.trained.v1", hidden)
    )
    older = Registry(MemoryRegistryLog(shared), clock=SystemClock(), ids=CountingIds(), source="/older/agents")
    await older.start()
    try:
        with pytest.raises(UnreadableEventError, match=r"hotswap\.model\.trained\.v2"):
            await older.handle(register("v99", model_name=names[0], command_id="o1"))
        assert (await older.handle(register("v99", model_name=names[1], command_id="o2"))).status == "accepted"
        assert (await older.handle(register("v1", model_name="brand-new", command_id="o3"))).status == "accepted"
    finally:
        await older.stop()
