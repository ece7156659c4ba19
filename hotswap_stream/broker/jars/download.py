"""Fetch locked jars with jgo, in pure Python. Nothing unverified reaches the cache."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from hotswap_stream.broker.errors import BrokerUnavailableError, JarDownloadError
from hotswap_stream.broker.jars.lock import LockedJar, sha256_of
from hotswap_stream.broker.progress import BrokerProgress, ProgressCallback

_DOWNLOADS_MAX = 6
_TRIES_MAX = 3
_READ_TIMEOUT_S = 20


class _DownloadCancelled(Exception):  # noqa: N818 - ends the download threads, never leaves this module
    pass


class _ByteCount:
    """Adds up what all download threads received, and stops them when the caller gave up."""

    def __init__(self, bytes_total: int, report: ProgressCallback, cancelled: threading.Event) -> None:
        self._bytes_total = bytes_total
        self._report = report
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._bytes_done = 0
        self._percent_shown = -1

    @contextmanager
    def watch(self, _file_name: str, _bytes_total: int) -> Iterator[Callable[[int], None]]:
        yield self.add

    def add(self, byte_count: int) -> None:
        """Add a block. Called between blocks, so that a cancelled download ends in the middle of a jar."""
        if self._cancelled.is_set():
            raise _DownloadCancelled
        with self._lock:
            self._bytes_done += byte_count
            percent = min(100, 100 * self._bytes_done // self._bytes_total)
            if percent == self._percent_shown:
                return
            self._percent_shown = percent
        mebibytes = self._bytes_total / 2**20
        text = f"Downloading Apache Kafka ({mebibytes:.0f} MiB, once)"
        self._report(BrokerProgress("jars", text, percent / 100))


def download_jars(
    jars: Sequence[LockedJar],
    folder: Path,
    *,
    repository_url: str | None = None,
    report: ProgressCallback,
    cancelled: threading.Event,
) -> None:
    """Put `jars` into `folder`, each by a rename, so that no reader ever sees half a jar.

    Args:
        jars: What to fetch.
        folder: Where to put it.
        repository_url: A Maven repository to use in place of Maven Central, such as a company mirror.
        report: Hears of the progress.
        cancelled: Ends the download when set.

    Raises:
        JarDownloadError: A jar could not be fetched. Jars already placed stay, and the next try fetches the rest.
    """
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise BrokerUnavailableError(
            "the embedded broker needs the `broker` extra: pip install 'hotswap-stream[broker]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    count = _ByteCount(sum(jar.size for jar in jars), report, cancelled)
    # jgo keeps a Maven repository of its own, by default the user's; ours lives as long as the download.
    staging = Path(tempfile.mkdtemp(prefix=".download-", dir=folder))
    try:
        context = MavenContext(
            resolver=PythonResolver(progress_callback=count.watch),
            repo_cache=staging,
            remote_repos={"mirror": repository_url.rstrip("/")} if repository_url else None,
            timeout=_READ_TIMEOUT_S,
        )

        def fetch(jar: LockedJar) -> None:
            count.add(0)
            artifact = context.project(jar.group, jar.artifact).at_version(jar.release).artifact()
            staged = staging / artifact.component.path_prefix / artifact.cached_filename
            os.replace(_fetch_verified(jar, artifact.resolve, staged), folder / jar.file_name)

        with ThreadPoolExecutor(_DOWNLOADS_MAX, thread_name_prefix="hotswap-jars") as pool:
            running = [pool.submit(fetch, jar) for jar in jars]
            try:
                for finished in as_completed(running):
                    finished.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)  # what is on its way, ten MiB at most, arrives
                raise
    except _DownloadCancelled as error:
        raise JarDownloadError("the download of Kafka's jars was cancelled") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch_verified(jar: LockedJar, resolve: Callable[[], Path], target: Path) -> Path:
    cause = ""
    for _ in range(_TRIES_MAX):
        # jgo takes a file that lies there for a finished one, also the rest of a broken try.
        target.unlink(missing_ok=True)
        try:
            path = resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; "not found" is a RuntimeError
            cause = f"{type(error).__name__}: {error}"
            continue
        if (found := sha256_of(path)) == jar.sha256:
            return path
        cause = f"its SHA-256 is {found}, not {jar.sha256}"
    raise JarDownloadError(
        f"could not download {jar.group}:{jar.artifact}:{jar.release} in {_TRIES_MAX} tries ({cause}). The first start "
        f"of the embedded broker needs a Maven repository once; give a mirror's address, or copy the cache folder "
        f"of a machine where it started. With a Kafka cluster of your own the embedded broker is not needed."
    )
