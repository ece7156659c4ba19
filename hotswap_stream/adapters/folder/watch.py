"""The loop over a watched folder: woken by the system where it can, and looking once a second all the same."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct
from watchfiles import awatch

from hotswap_stream.adapters.folder.scan import Identity, Scan, Waiting, scan
from hotswap_stream.adapters.folder.taking import (
    BAD,
    TAKEN,
    ChangedMeanwhileError,
    TooLargeError,
    copy_whole,
    set_aside,
)
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

WHOLE_SECONDS = 1.0
"""A file that did not change for so long is whole."""
LOOK_MS = 1_000
GONE_SECONDS = 2.0
"""Between two looks for a folder that is not there."""
SAID_MAX = 1_000
"""Names about which something was said; then it is said anew."""
LEFT_MAX = 10_000


class Verdict(Struct, frozen=True):
    """What is to become of a file: `taken` it is moved away, `bad` moved aside with the reason, `wait` left there."""

    what: Literal["taken", "bad", "wait"]
    why: str
    digest: str | None = None


Take = Callable[[Path, str], Awaitable[Verdict]]
"""Takes a copy of a file, which is gone afterwards; gets the file's own name, too. HotswapErrors that are retriable
say: try again later."""
MayTake = Callable[[], Awaitable[str | None]]
"""Says before anything is copied why nothing can be taken now; None: it can."""


class FolderWatch:
    """Watches one folder. `watch` runs until it is stopped; `look` is one look."""

    def __init__(
        self, folder: Path, take: Take, *, may_take: MayTake, bytes_max: int, now: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._take, self._may_take = take, may_take
        self._bytes_max = bytes_max
        self._now = now
        self._seen: dict[Path, tuple[Identity, float]] = {}
        self._left: dict[Identity, None] = {}
        self._said: dict[str, None] = {}
        self.taken_count = self.bad_count = 0

    async def watch(self, stop: asyncio.Event) -> None:
        """Look again and again. What goes wrong is said once and tried again; nothing ends the watch."""
        while not stop.is_set():
            try:
                identity = _identity(self._folder)
                changes = awatch(
                    self._folder,
                    watch_filter=None,
                    debounce=200,
                    rust_timeout=LOOK_MS,
                    yield_on_timeout=True,
                    stop_event=stop,
                    recursive=False,
                )
                async for _changes in changes:
                    await self.look()
                    if _identity(self._folder) != identity:
                        break
            except OSError as error:
                self._say("watched_folder_away", str(self._folder), str(error))
                await _wait(stop, GONE_SECONDS)
            except Exception:  # noqa: BLE001 - a watch that ended would look like a folder in which nothing happens
                _log.exception("watched_folder_not_looked_at", folder=str(self._folder))
                await _wait(stop, GONE_SECONDS)

    async def look(self) -> None:
        """Look once: take the files that are whole, oldest first, one after the other.

        Raises:
            OSError: The folder is gone, or may not be read.
        """
        found = await asyncio.to_thread(scan, self._folder)
        self._said.pop(f"watched_folder_away {self._folder}", None)
        self._tell(found)
        whole = self._whole(found)
        if not whole:
            return
        waits = await self._may_take()
        if waits is not None:
            self._say("watched_files_wait", str(self._folder), waits)
            return
        for waiting in whole:
            if not await self._take_one(waiting):
                return

    def _whole(self, found: Scan) -> list[Waiting]:
        now, seen = self._now(), {}
        whole = []
        for waiting in found.waiting:
            if waiting.identity in self._left:
                continue
            identity, since = self._seen.get(waiting.path, (waiting.identity, now))
            if identity != waiting.identity:
                since = now
            seen[waiting.path] = waiting.identity, since
            if now - since >= WHOLE_SECONDS:
                whole.append(waiting)
        self._seen = seen
        return whole

    async def _take_one(self, waiting: Waiting) -> bool:
        """Take a file. Return whether the next one may be looked at."""
        name = waiting.path.name
        try:
            with tempfile.TemporaryDirectory(prefix="hotswap-watched-") as folder:
                copy = Path(folder) / "file"
                await asyncio.to_thread(copy_whole, waiting, copy, bytes_max=self._bytes_max)
                verdict = await self._take(copy, name)
        except ChangedMeanwhileError:
            self._seen.pop(waiting.path, None)
            return True
        except TooLargeError as error:
            verdict = Verdict("bad", str(error))
        except PermissionError as error:
            self._leave(waiting, str(error))
            return True
        except OSError as error:
            self._say("watched_file_not_taken", name, str(error))
            return False
        except HotswapError as error:
            if error.retriable:
                self._say("watched_file_not_taken", name, str(error))
                return False
            verdict = Verdict("bad", str(error))
        if verdict.what == "wait":
            self._say("watched_files_wait", str(self._folder), verdict.why)
            return False
        await self._put_away(waiting, verdict)
        return verdict.what == "bad"  # a run is on now: the next one waits for its turn

    async def _put_away(self, waiting: Waiting, verdict: Verdict) -> None:
        name = waiting.path.name
        if verdict.what == "taken":
            self.taken_count += 1
            self._said.clear()
            _log.info("watched_file_taken", name=name, digest=verdict.digest, why=verdict.why)
            kind, reason, beginning = TAKEN, None, f"{(verdict.digest or '')[7:19]}-" if verdict.digest else ""
        else:
            self.bad_count += 1
            _log.warning("watched_file_bad", name=name, cause=verdict.why)
            kind, reason, beginning = BAD, verdict.why, ""
        try:
            await asyncio.to_thread(set_aside, waiting, self._folder, kind, beginning=beginning, reason=reason)
        except OSError as error:
            self._leave(waiting, f"it cannot be moved away: {error}")

    def _leave(self, waiting: Waiting, cause: str) -> None:
        """Look at this file no more until it changes."""
        while len(self._left) >= LEFT_MAX:
            del self._left[next(iter(self._left))]
        self._left[waiting.identity] = None
        self._say("watched_file_left", waiting.path.name, cause)

    def _tell(self, found: Scan) -> None:
        for name, what in found.strange:
            self._say("watched_file_left", name, f"{name} is {what}")
        if found.more:
            self._say("watched_folder_full", str(self._folder), f"{found.more:,} more files wait than are looked at")

    def _say(self, event: str, about: str, cause: str) -> None:
        """Log something once, until other things were said a thousand times."""
        key = f"{event} {about}"
        if key in self._said:
            return
        while len(self._said) >= SAID_MAX:
            del self._said[next(iter(self._said))]
        self._said[key] = None
        _log.warning(event, about=about, cause=cause)


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    waiter = asyncio.ensure_future(stop.wait())
    await asyncio.wait({waiter}, timeout=seconds)
    waiter.cancel()
