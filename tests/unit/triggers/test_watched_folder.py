"""A watched folder on a real file system: what is taken, when, once, and what is left alone."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hotswap_stream.adapters.folder import taking
from hotswap_stream.adapters.folder.scan import WAITING_MAX, scan
from hotswap_stream.adapters.folder.watch import FolderWatch, Verdict
from hotswap_stream.errors import HotswapError, LogUnavailableError


class Runs:
    """Takes files as told, and knows which."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 0.0
        self.taken: list[tuple[str, bytes]] = []
        self.keeps: str | None = None
        self.verdict: Callable[[str], Verdict] = lambda _name: Verdict("taken", "run-1", f"sha256:{'a' * 64}")
        self.watch = self.new_watch(folder)
        self.folder = folder

    def new_watch(self, folder: Path) -> FolderWatch:
        return FolderWatch(folder, self.take, may_take=self.may_take, bytes_max=1_000, now=lambda: self.now_s)

    async def take(self, copy: Path, name: str) -> Verdict:
        verdict = self.verdict(name)
        self.taken.append((name, await asyncio.to_thread(copy.read_bytes)))
        return verdict

    async def may_take(self) -> str | None:
        return self.keeps

    async def looks(self, count: int = 2, seconds: float = 1.0) -> None:
        for _look in range(count):
            await self.watch.look()
            self.now_s += seconds

    @property
    def names(self) -> list[str]:
        return [name for name, _content in self.taken]

    def there(self, room: str = "") -> list[str]:
        return sorted(path.name for path in (self.folder / room).iterdir() if path.is_file())


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


async def test_a_file_is_taken_when_it_did_not_change_for_a_second(runs: Runs) -> None:
    file = runs.folder / "a.safetensors"
    file.write_bytes(b"one")
    await runs.looks(1)
    file.write_bytes(b"one two")
    await runs.looks(1)
    assert runs.taken == []
    await runs.looks(1, 0.5)
    assert runs.taken == [("a.safetensors", b"one two")]
    assert runs.there() == []
    assert runs.there("taken") == ["aaaaaaaaaaaa-a.safetensors"]


async def test_what_was_dropped_while_nothing_watched_is_found_oldest_first_one_run_at_a_time(runs: Runs) -> None:
    for number, name in enumerate(("c", "a", "b")):
        (runs.folder / name).write_bytes(name.encode())
        os.utime(runs.folder / name, (number, number))
    await runs.looks(2)
    assert runs.names == ["c"], "a run is on now"
    runs.keeps = "run-on: run-1 is running"
    await runs.looks(5)
    assert runs.names == ["c"]
    assert runs.there() == ["a", "b"], "they wait where they are"
    runs.keeps = None
    await runs.looks(2)
    assert runs.names == ["c", "a", "b"]
    # A process that is started again finds nothing to do.
    runs.watch = runs.new_watch(runs.folder)
    await runs.looks(3)
    assert runs.names == ["c", "a", "b"]


async def test_bad_ones_are_moved_aside_with_the_reason_and_hold_up_nobody(runs: Runs) -> None:
    def judged(name: str) -> Verdict:
        return Verdict("bad", f"{name} is neither this nor that") if name.startswith("bad") else Verdict("taken", "")

    runs.verdict = judged
    for name in ("bad1", "bad2", "good", "large"):
        (runs.folder / name).write_bytes(b"x" * (2_000 if name == "large" else 10))
    (runs.folder / "bad").mkdir()
    (runs.folder / "bad" / "bad1").write_bytes(b"an older one")
    await runs.looks(6)
    assert runs.names == ["bad1", "bad2", "good"]
    listed = ["bad1", "bad1.2", "bad1.2.reason.txt", "bad2", "bad2.reason.txt", "large", "large.reason.txt"]
    assert runs.there("bad") == listed
    assert "neither this nor that" in (runs.folder / "bad" / "bad1.2.reason.txt").read_text()
    assert "2,000 bytes; at most 1,000" in (runs.folder / "bad" / "large.reason.txt").read_text()
    assert (runs.folder / "bad" / "bad1").read_bytes() == b"an older one"


async def test_no_link_pipe_or_socket_is_opened(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret"
    secret.write_bytes(b"secret")
    (runs.folder / "link").symlink_to(secret)
    (runs.folder / "dangling").symlink_to("/nowhere")
    (runs.folder / "loop").symlink_to(runs.folder)
    os.mkfifo(runs.folder / "pipe")
    (runs.folder / "folder").mkdir()
    (runs.folder / ".hidden").write_bytes(b"x")
    (runs.folder / "data.part").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(runs.folder / "socket"))
        found = await asyncio.to_thread(scan, runs.folder)
        assert found.waiting == ()
        assert {name for name, _what in found.strange} == {"link", "dangling", "loop", "pipe", "socket"}
        await runs.looks(4)
    assert runs.taken == []
    assert (runs.folder / "link").is_symlink()


async def test_a_file_that_is_replaced_between_look_and_copy_is_not_taken(runs: Runs, tmp_path: Path) -> None:
    file = runs.folder / "a"
    file.write_bytes(b"x")
    (waiting,) = scan(runs.folder).waiting
    copy = tmp_path / "copy"
    for replaced in ("link", "pipe", "other", "gone"):
        file.unlink(missing_ok=True)
        if replaced == "link":
            file.symlink_to("/etc/hostname")
        elif replaced == "pipe":
            os.mkfifo(file)
        elif replaced == "other":
            file.write_bytes(b"yy")
        with pytest.raises((taking.ChangedMeanwhileError, OSError)):
            taking.copy_whole(waiting, copy, bytes_max=100)
        assert not copy.exists() or copy.read_bytes() == b""


async def test_of_very_many_files_the_oldest_are_looked_at(runs: Runs) -> None:
    count = WAITING_MAX + 200
    for number in range(count):
        path = runs.folder / f"f{number:06}"
        path.touch()
        os.utime(path, (count - number, count - number))
    found = scan(runs.folder)
    assert (len(found.waiting), found.more) == (WAITING_MAX, 200)
    assert found.waiting[0].path.name == f"f{count - 1:06}"
    await runs.looks(2)
    assert runs.names == [f"f{count - 1:06}"]


@pytest.mark.parametrize("error", [LogUnavailableError("no broker"), OSError(28, "No space left on device")])
async def test_trouble_that_may_pass_leaves_the_file_for_later(runs: Runs, error: Exception) -> None:
    (runs.folder / "a").write_bytes(b"x")

    def fails(_name: str) -> Verdict:
        raise error

    good = runs.verdict
    runs.verdict = fails
    await runs.looks(4)
    assert runs.there() == ["a"]
    runs.verdict = good
    await runs.looks(1)
    assert runs.names == ["a"]


async def test_what_will_never_do_is_bad(runs: Runs) -> None:
    (runs.folder / "a").write_bytes(b"x")

    def fails(_name: str) -> Verdict:
        raise HotswapError("no set")

    runs.verdict = fails
    await runs.looks(3)
    assert runs.there("bad") == ["a", "a.reason.txt"]


async def test_a_folder_that_vanishes_and_comes_back_is_watched_again(runs: Runs, tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    watch = FolderWatch(folder, runs.take, may_take=runs.may_take, bytes_max=1_000, now=asyncio.get_running_loop().time)
    stop = asyncio.Event()
    watching = asyncio.create_task(watch.watch(stop))
    try:
        (folder / "a").write_bytes(b"a")
        await _until(lambda: runs.names == ["a"])
        os.rename(folder, tmp_path / "away")
        await asyncio.sleep(0.1)
        folder.mkdir()
        (tmp_path / "b").write_bytes(b"b")
        os.rename(tmp_path / "b", folder / "b")
        await _until(lambda: runs.names == ["a", "b"])
    finally:
        stop.set()
        await watching


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_room_that_is_a_link_is_not_moved_into(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (runs.folder / "taken").symlink_to(outside)
    (runs.folder / "a").write_bytes(b"x")
    await runs.looks(5)
    assert list(outside.iterdir()) == []
    assert runs.names == ["a"], "it is not taken again until it changes"
