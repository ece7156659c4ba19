"""Uploads in a folder: `<id>.data` holds what is received, `<id>.json` says what it is to be.

All that is known of an upload lies there, so processes that share the folder, and one that was started again, agree:
its length is the number of received bytes. Whoever works on a data file holds a lock on it (flock), which the system
lets go when a process dies; what nobody holds and nobody waits for is deleted by a sweep. Names are made here, never
taken from a request.
"""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hotswap_stream.adapters.artifacts.open_upload import LockedUpload, lock
from hotswap_stream.application.artifacts.uploads.port import (
    TooManyUploadsError,
    UnknownUploadError,
    UploadLimits,
    UploadNotKeptError,
    UploadState,
    UploadTooLargeError,
)

ABANDONED_SECONDS = 60.0
"""Files that nobody holds and that no record names are deleted after this long: one may be just about to be held."""
RECORD_BYTES_MAX = 1_024
ROOM_BYTES_MIN = 64 * 1024**2
"""Bytes of the disk that uploads leave to others."""

LOCK_SECONDS_MAX = 5.0
"""How long to wait while another process looks at the folder; it takes milliseconds, unless that process is stopped."""
LOCK_LOOK_SECONDS = 0.01

_ID = re.compile(r"[0-9a-f]{32}")
_OURS = re.compile(r"([0-9a-f]{32})\.(data|json|new)")
_LOCK_FILE = "lock"


class UploadRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in the file beside the data."""

    size_bytes: Annotated[int, Meta(ge=0, le=2**53)]
    digest: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    expires_at: Annotated[float, Meta(ge=0, le=2**40)]
    """In seconds since 1970."""
    whole: bool
    """Whether it goes with whoever receives it."""
    format_version: Literal[1] = 1


class FolderUploads:
    """`UploadFolder` over a folder of a local disk, which is made if it is not there."""

    def __init__(self, folder: Path, limits: UploadLimits, now: Callable[[], float] = time.time) -> None:
        self._folder = folder.absolute()
        self._limits = limits
        self._now = now

    def begin(self, size_bytes: int, digest: str | None) -> UploadState:
        """See UploadFolder."""
        with self._errors():
            upload_id, record = self._make(size_bytes, digest, whole=False)
            return self._state(upload_id, record, 0)

    def begin_whole(self, size_bytes: int | None, digest: str | None) -> LockedUpload:
        """See UploadFolder."""
        most = self._limits.file_bytes_max if size_bytes is None else size_bytes
        with self._errors():
            upload_id, record = self._make(most, digest, whole=True)
            return self._opened(upload_id, record)

    def state(self, upload_id: str) -> UploadState:
        """See UploadFolder."""
        with self._errors():
            record = self._found(upload_id)
            try:
                return self._state(upload_id, record, self._data(upload_id).lstat().st_size)
            except FileNotFoundError:
                raise _unknown(upload_id) from None

    def open(self, upload_id: str) -> LockedUpload:
        """See UploadFolder."""
        with self._errors():
            return self._opened(upload_id, self._found(upload_id))

    def sweep(self) -> int:
        """See UploadFolder."""
        with self._errors(), self._alone():
            return self._swept()

    def _swept(self) -> int:
        deleted = 0
        for upload_id in {match[1] for name in os.listdir(self._folder) if (match := _OURS.fullmatch(name))}:
            if self._is_over(upload_id):
                deleted += self._delete_unless_held(upload_id)
        return deleted

    def _is_over(self, upload_id: str) -> bool:
        record = self._record(upload_id)
        if record is not None and not record.whole:
            return record.expires_at <= self._now()
        times = [0.0]
        for path in self._files(upload_id):
            with suppress(FileNotFoundError):
                times.append(path.lstat().st_mtime)
        return max(times) + ABANDONED_SECONDS <= self._now()

    def _delete_unless_held(self, upload_id: str) -> int:
        data = self._data(upload_id)
        with suppress(FileNotFoundError):
            try:
                held = lock(data)
            except BlockingIOError:
                return 0
            except OSError:
                held = None  # a link, or a folder, which is nobody's
            try:
                return self._delete(upload_id)
            finally:
                if held is not None:
                    held.close()
        return self._delete(upload_id)

    def _delete(self, upload_id: str) -> int:
        deleted = 0
        for path in self._files(upload_id):
            with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                path.unlink()
                deleted += 1
        return deleted

    def _make(self, size_bytes: int, digest: str | None, *, whole: bool) -> tuple[str, UploadRecord]:
        """Make the files of one more upload, if there is a place for it."""
        if size_bytes > self._limits.file_bytes_max:
            raise UploadTooLargeError(
                f"the file has {size_bytes} bytes; HOTSWAP_ARTIFACT_BYTES_MAX allows {self._limits.file_bytes_max}"
            )
        with self._alone():
            if (no_place := self._no_place(size_bytes)) is not None and self._swept():
                no_place = self._no_place(size_bytes)
            if no_place is not None:
                raise TooManyUploadsError(no_place)
            upload_id = secrets.token_hex(16)
            record = UploadRecord(
                size_bytes=size_bytes,
                digest=digest,
                expires_at=self._now() + self._limits.unfinished_seconds_max,
                whole=whole,
            )
            new = self._folder / f"{upload_id}.new"
            os.close(os.open(self._data(upload_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(msgspec.json.encode(record))
            new.rename(self._folder / f"{upload_id}.json")
        return upload_id, record

    def _no_place(self, size_bytes: int) -> str | None:
        """Return why there is no place for one more upload, if there is none."""
        limits, uploads, taken, to_come = self._limits, 0, 0, 0
        for name in os.listdir(self._folder):
            match = _OURS.fullmatch(name)
            record = self._record(match[1]) if match and match[2] == "json" else None
            if match and record is not None:
                uploads += 1
                taken += record.size_bytes
                with suppress(FileNotFoundError):
                    to_come += max(0, record.size_bytes - self._data(match[1]).lstat().st_size)
        if uploads >= limits.uploads_max:
            return f"{uploads} uploads are under way, and HOTSWAP_UPLOADS_MAX allows no more; try again later"
        if taken + size_bytes > limits.uploads_bytes_max:
            return (
                f"uploads of {taken} bytes are under way, and with {size_bytes} more it would be more than the "
                f"{limits.uploads_bytes_max} that HOTSWAP_UPLOADS_BYTES_MAX allows; try again later"
            )
        if to_come + size_bytes + ROOM_BYTES_MIN > shutil.disk_usage(self._folder).free:
            return f"the disk has no room for {size_bytes} bytes more; try again later"
        return None

    def _opened(self, upload_id: str, record: UploadRecord) -> LockedUpload:
        data = self._data(upload_id)
        try:
            return LockedUpload(
                data,
                record.size_bytes,
                record.digest,
                state=lambda received_bytes: self._state(upload_id, record, received_bytes),
                delete=lambda: self._delete(upload_id),
                goes=record.whole,
            )
        except FileNotFoundError:
            raise _unknown(upload_id) from None

    def _state(self, upload_id: str, record: UploadRecord, received_bytes: int) -> UploadState:
        return UploadState(
            upload_id=upload_id,
            received_bytes=received_bytes,
            size_bytes=record.size_bytes,
            expires_at=datetime.fromtimestamp(int(record.expires_at), UTC),
        )

    def _found(self, upload_id: str) -> UploadRecord:
        """Return the record of an upload that goes on. UnknownUploadError."""
        record = self._record(upload_id) if _ID.fullmatch(upload_id) else None
        if record is None or record.whole or record.expires_at <= self._now():
            raise _unknown(upload_id)
        return record

    def _record(self, upload_id: str) -> UploadRecord | None:
        """Return what stands beside the data; None where there is nothing that can be read."""
        try:
            with os.fdopen(os.open(self._folder / f"{upload_id}.json", os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                record = msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=UploadRecord)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        # Nobody may make one that stays for ever, or that is larger than any may be.
        lasting = record.expires_at - self._now() <= self._limits.unfinished_seconds_max + ABANDONED_SECONDS
        return record if lasting and record.size_bytes <= self._limits.file_bytes_max else None

    def _data(self, upload_id: str) -> Path:
        return self._folder / f"{upload_id}.data"

    def _files(self, upload_id: str) -> tuple[Path, ...]:
        return tuple(self._folder / f"{upload_id}.{kind}" for kind in ("json", "data", "new"))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time look at all of the folder, and change what is in it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / _LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        try:
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    @staticmethod
    def _wait_for(handle: int) -> None:
        until = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(LOCK_LOOK_SECONDS)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UploadNotKeptError(
                f"the folder of uploads {self._folder} cannot be used: {error.strerror or error}"
            ) from error


def _unknown(upload_id: str) -> UnknownUploadError:
    return UnknownUploadError(
        f"there is no upload {upload_id[:100]!r}: it is finished, deleted or too old, or it was begun at another server"
    )
