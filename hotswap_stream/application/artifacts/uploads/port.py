"""The port to the folder where uploads lie until a model is made of them, and what may go wrong there."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_stream.errors import HotswapError

PIECE_BYTES_MAX = 16 * 1024**2


class UploadLimits(Struct, frozen=True, kw_only=True):
    """What uploads of one environment may take on a machine."""

    file_bytes_max: int
    uploads_max: int = 32
    """Uploads at once, by all processes over the folder."""
    uploads_bytes_max: int = 8 * 1024**3
    """Bytes of them all together, those that are still to come too."""
    unfinished_seconds_max: float = 21_600.0
    """An upload in pieces that is older is deleted."""
    trials_max: int = 2
    """Models that one process makes of uploads at once."""
    trial_wait_seconds_max: float = 30.0
    """How long another one waits for its turn."""


class UploadState(Struct, frozen=True, kw_only=True):
    """How far an upload came."""

    upload_id: str
    received_bytes: int
    """Where to go on."""
    size_bytes: int
    """Size of the whole file."""
    piece_bytes_max: int = PIECE_BYTES_MAX
    """Size of one request."""
    expires_at: datetime
    """When it is deleted if no model was made of it."""


class UnknownUploadError(HotswapError):
    """There is no such upload: it was deleted, it expired, a model was made of it, or it never was."""


class WrongOffsetError(HotswapError):
    """A piece does not begin where the upload ends."""

    def __init__(self, offset: int, received_bytes: int) -> None:
        super().__init__(f"the piece begins at {offset}; {received_bytes} bytes are here, so go on at {received_bytes}")
        self.received_bytes = received_bytes


class UploadBusyError(HotswapError):
    """Another request writes to the upload, or makes a model of it."""

    retriable = True


class UploadIncompleteError(HotswapError):
    """Not all bytes of the upload are here."""

    def __init__(self, state: UploadState) -> None:
        super().__init__(
            f"upload {state.upload_id} has {state.received_bytes} of {state.size_bytes} bytes; "
            f"go on at {state.received_bytes}"
        )
        self.received_bytes = state.received_bytes


class UploadTooLargeError(HotswapError):
    """There are more bytes than are taken, or than were announced."""


class UploadDigestError(HotswapError):
    """The bytes are not those that the digest names."""


class TooManyUploadsError(HotswapError):
    """As many uploads as are allowed, or bytes of them, are under way."""

    retriable = True


class TooManyTrialsError(HotswapError):
    """As many models as are allowed are tried at the moment."""

    retriable = True


class UploadNotKeptError(HotswapError):
    """The folder cannot be written to, or read from."""

    retriable = True


class OpenUpload(Protocol):
    """One upload that nobody else writes to, deletes or reads meanwhile. Any thread, one call at a time.

    Each call may raise UploadNotKeptError.
    """

    @property
    def state(self) -> UploadState:
        """How far it came."""

    @property
    def digest(self) -> str | None:
        """What it should have, if that was said."""

    @property
    def path(self) -> Path:
        """Where the file lies, until this is closed."""

    def append(self, piece: bytes) -> None:
        """Write more bytes at the end.

        Raises:
            UploadTooLargeError: The file would have more bytes than it may.
        """

    def cut_off(self, received_bytes: int) -> None:
        """Forget everything after this number of bytes."""

    def check_digest(self) -> None:
        """Raise UploadDigestError unless all that is here has the digest that was announced."""

    def remove(self) -> None:
        """Delete it when it is closed."""

    def close(self) -> None:
        """Let others have it. More than once does no harm."""


class UploadFolder(Protocol):
    """Keeps uploads on a disk that several processes may share. Each call may raise UploadNotKeptError."""

    def begin(self, size_bytes: int, digest: str | None) -> UploadState:
        """Make place for a file that comes in pieces.

        Raises:
            UploadTooLargeError: It is larger than any may be.
            TooManyUploadsError: There is no place for it now.
        """

    def begin_whole(self, size_bytes: int | None, digest: str | None) -> OpenUpload:
        """Make place for a file that comes at once, and that is deleted when it is closed. Errors as of `begin`.

        Args:
            size_bytes: Of the file; None where that is not known before.
            digest: What the file should have, if that is known.
        """

    def state(self, upload_id: str) -> UploadState:
        """Return how far an upload came. UnknownUploadError."""

    def open(self, upload_id: str) -> OpenUpload:
        """Open an upload for oneself.

        Raises:
            UnknownUploadError: There is no such upload.
            UploadBusyError: Somebody else has it.
        """

    def sweep(self) -> int:
        """Delete what expired, and what processes that died have left; return how many files."""
