"""The folder of Kafka's jars, filled once, shared by all processes of a user, mended when something in it breaks."""

import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct

from hotswap_stream.broker.errors import DiskFullError, JarDownloadError
from hotswap_stream.broker.jars.download import download_jars
from hotswap_stream.broker.jars.lock import KAFKA_RELEASE, LockedJar, load_jar_lock, sha256_of
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback

_WAIT_FOR_OTHER_PROCESS_S = 600
_FREE_MIB_MIN = 200


class CachedJar(Struct, frozen=True):
    """What a jar looked like when its digest was last checked: size in bytes, modification time, SHA-256 in hex."""

    name: str
    size: int
    modified_ns: int
    sha256: str


class _Manifest(Struct, frozen=True):
    jars: tuple[CachedJar, ...]


def default_cache_dir() -> Path:
    """Return `~/.cache/hotswap-stream/kafka-<release>`."""
    return Path.home() / ".cache" / "hotswap-stream" / f"kafka-{KAFKA_RELEASE}"


class JarCache:
    """Kafka's jars below `cache_dir`. Blocking: call it from a thread."""

    def __init__(self, cache_dir: Path, repository_url: str | None = None) -> None:
        self.cache_dir = cache_dir
        self.jars_dir = cache_dir / "jars"
        self._repository_url = repository_url
        self._locked = load_jar_lock()
        self._manifest_path = cache_dir / "manifest.json"

    @property
    def class_path(self) -> tuple[Path, ...]:
        """Return the jars in class path order."""
        return tuple(self.jars_dir / jar.file_name for jar in self._locked)

    def is_whole(self) -> bool:
        """Return whether every jar lies there as it was when its digest was checked. It costs one `stat` per jar."""
        try:
            manifest = msgspec.json.decode(self._manifest_path.read_bytes(), type=_Manifest)
        except (OSError, msgspec.DecodeError):
            return False
        if [(jar.name, jar.sha256) for jar in manifest.jars] != [(jar.file_name, jar.sha256) for jar in self._locked]:
            return False
        return all(self._looks_the_same(jar) for jar in manifest.jars)

    def ensure(self, report: ProgressCallback, cancelled: threading.Event) -> None:
        """Return when the cache is whole: at once, after another process filled it, or after a download.

        Raises:
            JarDownloadError: The jars could not be fetched.
            DiskFullError: There is no room for them.
        """
        if self.is_whole():
            return
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.cache_dir / ".lock", timeout=0):
                self._mend(report, cancelled)
        except Timeout:
            report(BrokerProgress("jars", "Waiting for another process that is downloading Apache Kafka"))
            try:
                with FileLock(self.cache_dir / ".lock", timeout=_WAIT_FOR_OTHER_PROCESS_S):
                    self._mend(report, cancelled)
            except Timeout as error:
                raise JarDownloadError(
                    f"another process has been filling {self.cache_dir} for {_WAIT_FOR_OTHER_PROCESS_S} s; "
                    "end it and try again"
                ) from error

    def distrust(self) -> None:
        """Make the next `ensure` check every jar's digest again: a start failed as a damaged jar would make it fail."""
        self._manifest_path.unlink(missing_ok=True)

    def _mend(self, report: ProgressCallback, cancelled: threading.Event) -> None:
        if self.is_whole():
            return
        bad = [jar for jar in self._locked if not self._is_good(jar)]
        if bad:
            free_mib = shutil.disk_usage(self.cache_dir).free // 2**20
            if free_mib < _FREE_MIB_MIN:
                raise DiskFullError(
                    f"{self.cache_dir} has {free_mib} MiB free; Kafka's jars need {_FREE_MIB_MIN} MiB there"
                )
            report(BrokerProgress("jars", "Downloading Apache Kafka", 0.0))
            download_jars(bad, self.jars_dir, repository_url=self._repository_url, report=report, cancelled=cancelled)
        self._write_manifest(self._locked)

    def _is_good(self, jar: LockedJar) -> bool:
        path = self.jars_dir / jar.file_name
        try:
            return path.stat().st_size == jar.size and sha256_of(path) == jar.sha256
        except OSError:
            return False

    def _looks_the_same(self, jar: CachedJar) -> bool:
        try:
            found = (self.jars_dir / jar.name).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (jar.size, jar.modified_ns)

    def _write_manifest(self, jars: Sequence[LockedJar]) -> None:
        described = tuple(
            CachedJar(
                name=jar.file_name,
                size=jar.size,
                modified_ns=(self.jars_dir / jar.file_name).stat().st_mtime_ns,
                sha256=jar.sha256,
            )
            for jar in jars
        )
        write_atomically(self._manifest_path, msgspec.json.encode(_Manifest(jars=described)))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the former content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
