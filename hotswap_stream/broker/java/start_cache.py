"""The JVM's ahead-of-time cache of a started broker (JDK 25): a start in a third of the time.

The JVM itself refuses a cache of another runtime, of other jars, or one that was cut off, and starts without it. What
it cannot notice, damage in the middle of the file, kills it: the caller then drops the cache and starts again.
"""

import hashlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from hotswap_stream.broker.jars.cache import write_atomically
from hotswap_stream.broker.java.jvm import JvmPlan

_CACHES_MAX = 3


class _Description(Struct, frozen=True):
    """`size` of the cache in bytes; `jars`: size and modification time of each, as the JVM checks them."""

    size: int
    jars: tuple[tuple[int, int], ...]


class StartCache:
    """The cache file of one runtime, one class path and one set of flags. Blocking, and quick."""

    def __init__(self, cache_dir: Path, plan: JvmPlan) -> None:
        parts = [plan.runtime.identity, *plan.flags, *(str(jar) for jar in plan.class_path)]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        self.folder = cache_dir / "start"
        self.path = self.folder / f"{key}.aot"
        self._description_path = self.folder / f"{key}.json"
        self._class_path = plan.class_path

    def is_usable(self) -> bool:
        """Return whether the file is there, as long as it was, and made of the jars as they are."""
        try:
            described = msgspec.json.decode(self._description_path.read_bytes(), type=_Description)
            return described.size == self.path.stat().st_size and described.jars == self._jars()
        except (OSError, msgspec.DecodeError):
            return False

    def flags(self) -> list[str]:
        """Return the JVM flags that use the cache when it is usable."""
        return [f"-XX:AOTCache={self.path}", "-Xlog:aot=error"] if self.is_usable() else []

    def discard(self) -> None:
        """Forget the cache; the next training builds it again."""
        self._description_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def adopt(self, trained: Path) -> None:
        """Take a finished file as the cache, and remove the oldest of those that other runtimes left."""
        described = _Description(size=trained.stat().st_size, jars=self._jars())
        self._description_path.unlink(missing_ok=True)
        os.replace(trained, self.path)
        write_atomically(self._description_path, msgspec.json.encode(described))
        caches = sorted(self.folder.glob("*.aot"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in caches[_CACHES_MAX:]:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)

    def _jars(self) -> tuple[tuple[int, int], ...]:
        return tuple((found.st_size, found.st_mtime_ns) for found in (jar.stat() for jar in self._class_path))
