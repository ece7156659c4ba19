"""Artifact files are read into memory of their own, whole, and hashed there."""

import hashlib
from pathlib import Path

import pytest

from hotswap_stream.adapters.models import reading
from hotswap_stream.adapters.models.reading import read_file
from hotswap_stream.application.artifacts.store import DigestMismatchError

PIECE = 4096


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", PIECE)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 20 * PIECE + 17])
def test_all_bytes_are_there_and_are_the_reader_s_own(tmp_path: Path, size: int) -> None:
    content = bytes(index * 31 % 251 for index in range(size))
    path = tmp_path / "artifact"
    path.write_bytes(content)
    found, unchecked = read_file(path, _digest(content)), read_file(path)
    path.write_bytes(bytes(size))
    assert found.tobytes() == unchecked.tobytes() == content
    assert found.flags.writeable  # torch takes no memory that it may not write to


@pytest.mark.parametrize("place", [0, PIECE, 20 * PIECE + 16])
def test_one_other_byte_anywhere_is_refused(tmp_path: Path, place: int) -> None:
    content = bytearray(20 * PIECE + 17)
    wanted = _digest(bytes(content))
    content[place] = 1
    path = tmp_path / "artifact"
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError, match=wanted.removeprefix("sha256:")[:12]):
        read_file(path, wanted)
