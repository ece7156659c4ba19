"""The caches mend themselves: jars that break are fetched again, a start cache that breaks is built again."""

import asyncio
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hotswap_stream.broker import BrokerProgress, EmbeddedKafka, JarDownloadError
from hotswap_stream.broker.broker_probe import ask_cluster
from hotswap_stream.broker.jars.cache import JarCache, default_cache_dir
from hotswap_stream.broker.jars.lock import load_jar_lock, sha256_of
from hotswap_stream.broker.java.jvm import JvmPlan
from hotswap_stream.broker.java.runtime import find_java_runtime
from hotswap_stream.broker.java.start_cache import StartCache
from hotswap_stream.broker.progress import ignore_progress

_NOT_CANCELLED = threading.Event()


@pytest.fixture(scope="session")
def jars() -> Path:
    """The folder of the real jars; downloads them when this machine never had them."""
    cache = JarCache(default_cache_dir())
    cache.ensure(ignore_progress, threading.Event())
    return cache.jars_dir


class _Requests:
    """A Maven repository on a loopback port, made of the real jars; remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.jars: list[str] = []
        requests = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith(".jar"):
                    requests.jars.append(self.path.rsplit("/", 1)[1])
                super().do_GET()

            def log_message(self, *arguments: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def repository(jars: Path, tmp_path: Path) -> Iterator[_Requests]:
    for jar in load_jar_lock():
        folder = tmp_path.joinpath("repository", *jar.group.split("."), jar.artifact, jar.release)
        folder.mkdir(parents=True, exist_ok=True)
        os.symlink(jars / jar.file_name, folder / jar.file_name)
    requests = _Requests(tmp_path / "repository")
    thread = threading.Thread(target=requests.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield requests
    requests.server.shutdown()
    requests.server.server_close()
    thread.join()


@pytest.fixture
def copied(jars: Path, tmp_path: Path, repository: _Requests) -> JarCache:
    """A whole cache of its own, that fetches from `repository`."""
    shutil.copytree(jars, tmp_path / "cache" / "jars", copy_function=shutil.copy2)
    cache = JarCache(tmp_path / "cache", repository.url)
    cache.ensure(ignore_progress, _NOT_CANCELLED)
    assert cache.is_whole()
    assert repository.jars == []
    return cache


def assert_right(cache: JarCache) -> None:
    assert cache.is_whole()
    for jar, path in zip(load_jar_lock(), cache.class_path, strict=True):
        assert sha256_of(path) == jar.sha256


def test_a_truncated_and_a_missing_jar_are_fetched_again(copied: JarCache, repository: _Requests) -> None:
    truncated, missing = copied.class_path[3], copied.class_path[7]
    os.truncate(truncated, 1_000)
    missing.unlink()
    assert not copied.is_whole()
    copied.ensure(ignore_progress, _NOT_CANCELLED)
    assert sorted(repository.jars) == sorted([truncated.name, missing.name])
    assert_right(copied)


def test_a_jar_that_was_changed_in_place_is_fetched_again(copied: JarCache, repository: _Requests) -> None:
    changed = copied.class_path[5]
    found = changed.stat()
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    changed.write_bytes(content)
    os.utime(changed, ns=(found.st_atime_ns, found.st_mtime_ns))
    # Size and time are as before, so the quick look cannot see it; a start that fails makes the cache distrusted.
    assert copied.is_whole()
    copied.distrust()
    copied.ensure(ignore_progress, _NOT_CANCELLED)
    assert repository.jars == [changed.name]
    assert_right(copied)


def test_a_damaged_manifest_costs_a_check_and_no_download(copied: JarCache, repository: _Requests) -> None:
    (copied.cache_dir / "manifest.json").write_text("{")
    assert not copied.is_whole()
    copied.ensure(ignore_progress, _NOT_CANCELLED)
    assert repository.jars == []
    assert_right(copied)


def test_processes_that_fill_the_cache_at_once_share_the_work(tmp_path: Path, repository: _Requests) -> None:
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from hotswap_stream.broker.jars.cache import JarCache\n"
        "JarCache(Path(sys.argv[1]), sys.argv[2]).ensure(lambda event: None, threading.Event())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path / "new"), repository.url]
    fillers = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [filler.wait(60) for filler in fillers] == [0, 0, 0]
    assert sorted(repository.jars) == sorted(jar.file_name for jar in load_jar_lock())
    assert_right(JarCache(tmp_path / "new"))
    assert not list((tmp_path / "new" / "jars").glob(".download-*"))


def test_a_download_tells_how_far_it_is(tmp_path: Path, repository: _Requests) -> None:
    events: list[BrokerProgress] = []
    JarCache(tmp_path / "new", repository.url).ensure(events.append, _NOT_CANCELLED)
    fractions = [event.fraction for event in events if event.fraction is not None]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_a_repository_that_serves_another_jar_is_not_trusted(copied: JarCache, tmp_path: Path) -> None:
    jar = load_jar_lock()[2]
    served = tmp_path.joinpath("repository", *jar.group.split("."), jar.artifact, jar.release, jar.file_name)
    served.unlink()
    served.write_bytes(b"not the jar")
    copied.class_path[2].unlink()
    with pytest.raises(JarDownloadError, match=r"SHA-256 is .*, not "):
        copied.ensure(ignore_progress, threading.Event())
    assert not copied.class_path[2].exists()


async def test_an_unreachable_repository_says_what_to_do(tmp_path: Path) -> None:
    broker = EmbeddedKafka(cache_dir=tmp_path / "new", repository_url="http://127.0.0.1:1")
    with pytest.raises(JarDownloadError, match="copy the cache folder") as caught:
        await broker.start()
    assert caught.value.retriable
    assert broker.nodes == ()


def test_a_cancelled_download_ends(tmp_path: Path, repository: _Requests) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(JarDownloadError, match="cancelled"):
        JarCache(tmp_path / "new", repository.url).ensure(ignore_progress, cancelled)


@pytest.mark.parametrize("damage", ["middle", "cut off"])
async def test_a_broken_start_cache_does_not_stop_a_start(tmp_path: Path, damage: str) -> None:
    # The broker that all tests share may be among them.
    children_before = set(psutil.Process().children(recursive=True))
    await EmbeddedKafka().prepare()
    runtime, class_path = find_java_runtime(), JarCache(default_cache_dir()).class_path
    whole = StartCache(default_cache_dir(), JvmPlan(runtime, class_path, 256)).path
    # An option of its own gives this test a start cache of its own beside the one all others use.
    option = f"-Dhotswap.test={damage.replace(' ', '-')}"
    broken = StartCache(default_cache_dir(), JvmPlan(runtime, class_path, 256, (option,)))
    content = bytearray(whole.read_bytes())
    if damage == "middle":
        middle = len(content) // 2
        content[middle : middle + 4_000_000] = os.urandom(4_000_000)
    else:
        del content[len(content) // 2 :]
    damaged = broken.folder / f"{tmp_path.name}.tmp"
    damaged.write_bytes(content)
    broken.adopt(damaged)
    events: list[BrokerProgress] = []
    broker = EmbeddedKafka(jvm_options=[option], on_progress=events.append)
    try:
        async with broker:
            assert await ask_cluster(broker.nodes[0].port, 10.0) is not None
    finally:
        broken.discard()
    # The training that the retried start began was given up with it.
    assert set(psutil.Process().children(recursive=True)) <= children_before
    assert ("retry" in [event.stage for event in events]) == (damage == "middle")


async def test_two_starts_at_once_share_one_cache() -> None:
    first, second = EmbeddedKafka(), EmbeddedKafka()
    async with asyncio.TaskGroup() as group:
        group.create_task(first.start())
        group.create_task(second.start())
    assert first.bootstrap_servers != second.bootstrap_servers
    await first.stop()
    await second.stop()
