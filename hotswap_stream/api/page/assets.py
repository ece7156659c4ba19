"""The files of the page: read from one folder, by names that can be nothing but files in it."""

import gzip
import hashlib
import os
import re
import stat
from pathlib import Path

from msgspec import Struct

ASSETS = Path(__file__).parent / "assets"
INDEX = "index.html"
ASSET_BYTES_MAX = 4 * 1024**2
ASSETS_KEPT_MAX = 64

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_HASHED = re.compile(r"-[A-Z0-9]{8}\.")
"""What esbuild puts into the name of a file whose bytes never change under it."""


class Asset(Struct, frozen=True):
    """A file, as it is sent."""

    media_type: str
    body: bytes
    zipped: bytes | None
    """The same by gzip, where that is smaller."""
    etag: str
    forever: bool
    """Whether the name stands for these bytes for good."""


class AssetFolder:
    """Files of one folder, kept as they were last read; a file that changes is read again."""

    def __init__(self, folder: Path = ASSETS) -> None:
        self._folder = folder
        self._kept: dict[str, tuple[tuple[int, int], Asset]] = {}

    def find(self, name: str) -> Asset | None:
        """Return the file of this name; None if there is none that may be sent."""
        suffix = Path(name).suffix
        if not _NAME.fullmatch(name) or suffix not in MEDIA_TYPES:
            return None
        try:
            with open(self._folder / name, "rb", opener=_no_link) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return None
                seen = (found.st_mtime_ns, found.st_size)
                kept = self._kept.get(name)
                if kept is not None and kept[0] == seen:
                    return kept[1]
                body = file.read(ASSET_BYTES_MAX + 1)
        except OSError:
            return None
        if len(body) > ASSET_BYTES_MAX:
            return None
        asset = _asset(name, suffix, body)
        if len(self._kept) >= ASSETS_KEPT_MAX:
            self._kept.clear()
        self._kept[name] = (seen, asset)
        return asset


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _asset(name: str, suffix: str, body: bytes) -> Asset:
    zipped = gzip.compress(body, mtime=0)
    return Asset(
        media_type=MEDIA_TYPES[suffix],
        body=body,
        zipped=zipped if len(zipped) < len(body) else None,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        forever=_HASHED.search(name) is not None,
    )
