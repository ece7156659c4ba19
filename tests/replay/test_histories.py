"""What every release wrote, replayed by today's code: the same states, and the same records void."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC, UnreadableEvent
from hotswap_events.envelope import Envelope
from hotswap_events.registry.events import EVENT_TYPES
from hotswap_stream import __version__
from hotswap_stream.application.audit.audit import verify_export
from hotswap_stream.application.audit.export import read_export
from tests.replay.make_history import HISTORIES, SUMS, main, make_history
from tests.replay.replayed_state import replayed_state

RELEASES = sorted(path for path in HISTORIES.iterdir() if path.is_dir())
FILES = sorted(HISTORIES.glob("*/*.jsonl"))


def name_of(path: Path) -> str:
    return str(path.relative_to(HISTORIES))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_today_s_code_replays_it_to_the_same_states(path: Path) -> None:
    expected = msgspec.json.decode(path.with_suffix(".state.json").read_bytes())
    assert replayed_state(read_export(BytesIO(path.read_bytes()))) == expected


@pytest.mark.parametrize("release", RELEASES, ids=name_of)
def test_its_bytes_are_never_rewritten(release: Path) -> None:
    """`sha256sum -c SHA256SUMS` in the folder says the same."""
    lines = [line.split("  ") for line in (release / SUMS).read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in release.iterdir() if path.name != SUMS}
    assert there == listed


@pytest.mark.parametrize("release", RELEASES, ids=name_of)
def test_its_undisturbed_history_passes_an_audit(release: Path) -> None:
    with (release / "lifecycle.jsonl").open("rb") as file:
        report = verify_export(file)
    assert report.ok, report.findings


def test_every_event_type_that_was_ever_written_is_in_a_history() -> None:
    written: set[str] = set()
    for path in FILES:
        for record in read_export(BytesIO(path.read_bytes())):
            if not isinstance(REGISTRY_CODEC.decode(record.value), UnreadableEvent):
                written.add(msgspec.json.decode(record.value or b"")["type"])
    assert set(EVENT_TYPES) <= written


def test_every_field_of_an_event_is_in_a_history() -> None:
    """A field that no history has could change its meaning unnoticed."""
    filled: set[tuple[type[Struct], str]] = set()
    for path in FILES:
        for record in read_export(BytesIO(path.read_bytes())):
            event = REGISTRY_CODEC.decode(record.value)
            if isinstance(event, Envelope):
                for owner, struct in ((Envelope, event), (type(event.data), event.data)):
                    filled.update((owner, name) for name in struct.__struct_fields__ if getattr(struct, name))
    wanted: set[tuple[type[Struct], str]] = {(Envelope, name) for name in Envelope.__struct_fields__}
    wanted |= {(data_type, name) for data_type in EVENT_TYPES.values() for name in data_type.__struct_fields__}
    assert wanted - filled == set()


async def test_this_release_has_a_history_and_still_writes_it() -> None:
    """Make a release's history with `python -m tests.replay.make_history`, once."""
    folder = HISTORIES / __version__
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == await make_history()


def test_the_maker_never_rewrites(tmp_path: Path) -> None:
    main(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    main(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == made
    (tmp_path / "lifecycle.jsonl").write_bytes(b"older")
    with pytest.raises(SystemExit, match="never rewritten"):
        main(tmp_path)
    assert (tmp_path / "lifecycle.jsonl").read_bytes() == b"older"
