"""The folder of uploads: what lies in it is all that is known, and nothing stays that nobody needs."""

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hotswap_stream.adapters.artifacts import uploads as module
from hotswap_stream.adapters.artifacts.uploads import FolderUploads
from hotswap_stream.application.artifacts.uploads.port import (
    TooManyUploadsError,
    UnknownUploadError,
    UploadBusyError,
    UploadDigestError,
    UploadLimits,
    UploadNotKeptError,
    UploadTooLargeError,
)

CONTENT = b"seven bytes and some more"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
LIMITS = UploadLimits(file_bytes_max=1_000, uploads_max=3, uploads_bytes_max=2_000, unfinished_seconds_max=600)


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""


class Clock:
    """The time, which only this moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def process(folder: Path, clock: Clock) -> Callable[[], FolderUploads]:
    """Another process over the same folder, each time it is called."""
    return lambda: FolderUploads(folder, LIMITS, clock)


@pytest.fixture
def uploads(process: Callable[[], FolderUploads]) -> FolderUploads:
    return process()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def grown_old(folder: Path, seconds: float) -> None:
    """Let all files be written at the clock's time, less that number of seconds."""
    for path in folder.iterdir():
        os.utime(path, (1_800_000_000 - seconds,) * 2, follow_symlinks=False)


def test_a_file_comes_in_pieces_and_another_process_goes_on(process: Callable[[], FolderUploads]) -> None:
    begun = process().begin(len(CONTENT), DIGEST)
    assert (begun.received_bytes, begun.size_bytes) == (0, len(CONTENT))
    for start in range(0, len(CONTENT), 7):
        upload = process().open(begun.upload_id)
        assert upload.state.received_bytes == start
        upload.append(CONTENT[start : start + 7])
        upload.close()
    assert process().state(begun.upload_id).received_bytes == len(CONTENT)
    upload = process().open(begun.upload_id)
    upload.check_digest()
    assert upload.path.read_bytes() == CONTENT
    upload.close()


def test_nobody_else_may_read_it(uploads: FolderUploads, folder: Path) -> None:
    uploads.begin(5, DIGEST)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_one_at_a_time_works_on_an_upload(process: Callable[[], FolderUploads], folder: Path, clock: Clock) -> None:
    begun = process().begin(5, DIGEST)
    upload = process().open(begun.upload_id)
    with pytest.raises(UploadBusyError):
        process().open(begun.upload_id)
    clock.now += 10_000
    assert process().sweep() == 0, "what somebody works on is deleted"
    upload.close()
    assert process().sweep() == 2
    assert left(folder) == []


def test_the_lock_goes_with_its_process(process: Callable[[], FolderUploads], folder: Path) -> None:
    begun = process().begin(5, DIGEST)
    path = folder / f"{begun.upload_id}.data"
    other = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    try:
        other.stdout.readline()
        with pytest.raises(UploadBusyError):
            process().open(begun.upload_id)
    finally:
        other.kill()
        other.communicate()
    process().open(begun.upload_id).close()


def test_bytes_beyond_the_end_are_not_taken(uploads: FolderUploads) -> None:
    upload = uploads.open(uploads.begin(5, DIGEST).upload_id)
    upload.append(b"1234")
    with pytest.raises(UploadTooLargeError, match="5 bytes"):
        upload.append(b"56")
    assert upload.state.received_bytes == 4
    upload.cut_off(2)
    upload.append(b"xyz")
    assert upload.path.read_bytes() == b"12xyz"
    upload.close()
    with pytest.raises(UploadNotKeptError, match="closed"):
        upload.append(b"more")


def test_other_bytes_than_announced_are_found(uploads: FolderUploads) -> None:
    upload = uploads.open(uploads.begin(3, DIGEST).upload_id)
    upload.append(b"abc")
    with pytest.raises(UploadDigestError, match=DIGEST):
        upload.check_digest()
    upload.close()


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_removed_goes_when_it_is_closed(uploads: FolderUploads, folder: Path, whole: bool) -> None:
    upload = uploads.begin_whole(None, None) if whole else uploads.open(uploads.begin(len(CONTENT), DIGEST).upload_id)
    upload.append(CONTENT)
    upload.check_digest()
    if not whole:
        upload.remove()
    assert upload.path.exists()
    upload.close()
    upload.close()
    assert left(folder) == []
    with pytest.raises(UnknownUploadError):
        uploads.open(upload.state.upload_id)


def test_a_whole_file_is_nobodys_but_its_receivers(uploads: FolderUploads) -> None:
    upload = uploads.begin_whole(5, None)
    for ask in (uploads.state, uploads.open):
        with pytest.raises(UnknownUploadError):
            ask(upload.state.upload_id)
    upload.close()
    upload.close()


@pytest.mark.parametrize(
    "upload_id",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "0" * 31,
        "0" * 33,
        "A" * 32,
        "0" * 31 + "\n",
        "0" * 32,
        "lock",
        "\0",
        "é" * 32,
    ],
)
def test_an_id_is_one_that_was_made_here(uploads: FolderUploads, upload_id: str) -> None:
    uploads.begin(5, DIGEST)
    for ask in (uploads.state, uploads.open):
        with pytest.raises(UnknownUploadError):
            ask(upload_id)


def test_no_more_uploads_than_there_are_places(process: Callable[[], FolderUploads], clock: Clock) -> None:
    for _ in range(LIMITS.uploads_max):
        process().begin(5, DIGEST)
    with pytest.raises(TooManyUploadsError, match="HOTSWAP_UPLOADS_MAX"):
        process().begin(5, DIGEST)
    with pytest.raises(TooManyUploadsError):
        process().begin_whole(5, None)
    clock.now += LIMITS.unfinished_seconds_max
    process().begin(5, DIGEST)


def test_no_more_bytes_than_there_is_room_for(process: Callable[[], FolderUploads], folder: Path) -> None:
    with pytest.raises(UploadTooLargeError, match="1000"):
        process().begin(1_001, DIGEST)
    process().begin(1_000, DIGEST)
    whole = process().begin_whole(None, None)  # may become as large as any
    with pytest.raises(TooManyUploadsError, match="HOTSWAP_UPLOADS_BYTES_MAX"):
        process().begin(1, DIGEST)
    whole.close()
    process().begin(1_000, DIGEST)


def test_the_disk_keeps_room_for_others(folder: Path) -> None:
    limits = UploadLimits(file_bytes_max=2**60, uploads_bytes_max=2**61)
    with pytest.raises(TooManyUploadsError, match="no room"):
        FolderUploads(folder, limits).begin(2**59, DIGEST)
    assert left(folder) == []


def test_what_is_too_old_is_gone(uploads: FolderUploads, folder: Path, clock: Clock) -> None:
    begun = uploads.begin(5, DIGEST)
    clock.now += LIMITS.unfinished_seconds_max - 1
    assert uploads.sweep() == 0
    assert uploads.state(begun.upload_id).expires_at.timestamp() == clock.now + 1
    clock.now += 1
    with pytest.raises(UnknownUploadError):
        uploads.state(begun.upload_id)
    assert uploads.sweep() == 2
    assert left(folder) == []


def test_what_a_died_process_left_is_deleted_and_nothing_else(uploads: FolderUploads, folder: Path) -> None:
    kept = uploads.begin(5, DIGEST)
    whole = uploads.begin_whole(5, None)
    died = "2" * 32
    (folder / f"{died}.data").touch()
    (folder / f"{died}.json").write_bytes(msgspec.json.encode(RECORD | {"whole": True}))
    orphan = "1" * 32
    (folder / f"{orphan}.data").write_bytes(b"before its record was written")
    (folder / f"{orphan}.new").write_bytes(b"{")
    others = folder / "of somebody else.data"
    others.touch()
    grown_old(folder, module.ABANDONED_SECONDS + 1)
    assert uploads.sweep() == 4, "its receiver holds the whole file"
    whole.close()
    assert left(folder) == sorted([f"{kept.upload_id}.data", f"{kept.upload_id}.json", others.name])


def test_what_is_just_written_is_left_alone(uploads: FolderUploads, folder: Path) -> None:
    (folder / f"{uploads.begin(5, DIGEST).upload_id}.json").unlink()
    grown_old(folder, module.ABANDONED_SECONDS - 1)
    assert uploads.sweep() == 0
    grown_old(folder, module.ABANDONED_SECONDS)
    assert uploads.sweep() == 1


RECORD = {"size_bytes": 5, "digest": DIGEST, "expires_at": 1_800_000_300.0, "whole": False, "format_version": 1}
WRONG = (
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"[" * 100_000,
    *(
        msgspec.json.encode(RECORD | changes)
        for changes in (
            {"size_bytes": -1},
            {"size_bytes": LIMITS.file_bytes_max + 1},
            {"size_bytes": "5"},
            {"digest": "../../etc/passwd"},
            {"expires_at": 1_900_000_000.0},
            {"expires_at": "never"},
            {"format_version": 2},
            {"path": "/etc/passwd"},
        )
    ),
)


@pytest.mark.parametrize("record", WRONG)
def test_a_record_that_is_not_right_is_no_upload(uploads: FolderUploads, folder: Path, record: bytes) -> None:
    begun = uploads.begin(5, DIGEST)
    path = folder / f"{begun.upload_id}.json"
    path.write_bytes(msgspec.json.encode(RECORD))
    uploads.state(begun.upload_id)
    path.write_bytes(record)
    for ask in (uploads.state, uploads.open):
        with pytest.raises(UnknownUploadError):
            ask(begun.upload_id)
    uploads.begin(5, DIGEST)
    grown_old(folder, module.ABANDONED_SECONDS + 1)
    assert uploads.sweep() == 2


def test_a_link_in_place_of_a_file_is_not_followed(uploads: FolderUploads, folder: Path, tmp_path: Path) -> None:
    begun = uploads.begin(5, DIGEST)
    secret = tmp_path / "secret"
    secret.write_bytes(b"")
    data, record = (folder / f"{begun.upload_id}.{kind}" for kind in ("data", "json"))
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(UploadNotKeptError):
        uploads.open(begun.upload_id)
    target = tmp_path / "record"
    record.rename(target)
    record.symlink_to(target)
    with pytest.raises(UnknownUploadError):
        uploads.open(begun.upload_id)
    grown_old(folder, module.ABANDONED_SECONDS + 1)
    assert uploads.sweep() == 2
    assert secret.exists()
    assert target.exists()


def test_bytes_that_somebody_else_added_are_found(uploads: FolderUploads, folder: Path) -> None:
    begun = uploads.begin(5, DIGEST)
    (folder / f"{begun.upload_id}.data").write_bytes(b"more than five")
    with pytest.raises(UploadNotKeptError, match="somebody else"):
        uploads.open(begun.upload_id)


def test_data_that_is_gone_is_no_upload(uploads: FolderUploads, folder: Path) -> None:
    begun = uploads.begin(5, DIGEST)
    (folder / f"{begun.upload_id}.data").unlink()
    for ask in (uploads.state, uploads.open):
        with pytest.raises(UnknownUploadError):
            ask(begun.upload_id)


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    uploads = FolderUploads(tmp_path / "file" / "uploads", LIMITS)
    for call in (uploads.sweep, lambda: uploads.begin(5, DIGEST)):
        with pytest.raises(UploadNotKeptError, match="uploads"):
            call()
