"""A sign of life in the home folder, renewed as long as a process can do its work; for checks of containers.

Its age is told by the clock that runs since the machine was started, which all its processes and containers share and
nobody sets. Where the system has none that others can be compared with, the file's time has to do.
"""

import os
import re
import time
from functools import cache
from math import inf
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct

from hotswap_stream.errors import HotswapError

FOLDER = "pulse"
BEAT_SECONDS = 1.0
"""The sign is not renewed more often than this."""
FILE_TIME_NS = 20_000_000
"""A file's time may be so much older than the clock was when it was written."""
AGE_SECONDS_MAX = 20.0
"""A process whose sign is older is not taken to work."""
NAME_CHARACTERS_MAX = 200
SIGN_BYTES_MAX = 20_000
_TROUBLE = "trouble: "
_ADVICE = "advice: "
_CLOCK = "clock: "
_CLOCK_LINE = re.compile(rf"^{_CLOCK}(\S+) (\d+\.\d+)$", re.MULTILINE)

ProcessKind = Literal["worker", "agents", "trainers"]

_log = structlog.get_logger(__name__)


class NotHealthyError(HotswapError):
    """The process is not there, or cannot do its work; the message says since when."""


class Pulse:
    """The sign of life of one process.

    Call `beat` as often as you like while all is well, or `trouble` to say what is in the way; `stop` at the end.
    """

    def __init__(self, home: Path, kind: ProcessKind, name: str) -> None:
        self._path = _path(home, kind, name)
        self._began_ns = time.time_ns()
        self._beaten_s = -BEAT_SECONDS
        self._failed = False
        self._said = ""
        self._advice: str | None = None

    def advise(self, advice: str | None) -> None:
        """Say what somebody should mend although the process can do its work; it is told with the next sign."""
        self._advice = advice

    def beat(self) -> None:
        """Renew the sign. A folder that cannot be written to stops nobody's work; the log says so once."""
        self._renew("" if self._advice is None else f"{_ADVICE}{_line(self._advice)}\n")

    def trouble(self, reason: str) -> None:
        """Say why the process cannot do its work, until the next `beat`."""
        self._renew(f"{_TROUBLE}{_line(reason)}\n")

    def _renew(self, said: str) -> None:
        now_s = time.monotonic()
        if now_s - self._beaten_s < BEAT_SECONDS and said == self._said:
            return
        self._beaten_s, self._said = now_s, said
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            clock = f"{_CLOCK}{_boot()} {now_s:.3f}"
            self._path.write_text(f"{os.getpid()}\n{clock}\n{said}", encoding="utf-8", errors="replace")
        except OSError as error:
            if not self._failed:
                _log.warning("pulse_not_written", file=str(self._path), error=str(error))
            self._failed = True

    @property
    def asked_to_end(self) -> bool:
        """Whether somebody asked the process to end, since it began: see `ask_to_end`."""
        try:
            return _wish(self._path).stat().st_mtime_ns > self._began_ns - FILE_TIME_NS
        except OSError:
            return False

    def stop(self) -> None:
        """Remove the sign, and the wish that it heeded."""
        for path in (_wish(self._path), self._path):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("pulse_not_removed", file=str(path), error=str(error))


class Sign(Struct, frozen=True):
    """What a process left about itself."""

    age_s: float
    advice: str | None
    """What somebody should mend although the process can do its work."""


def check(home: Path, kind: ProcessKind, name: str, *, age_seconds_max: float = AGE_SECONDS_MAX) -> Sign:
    """Return the sign of a process that can do its work.

    Args:
        home: The home folder that the process shares.
        kind: What process it is.
        name: Its name.
        age_seconds_max: A process with an older sign is not taken to work.

    Raises:
        NotHealthyError: The process is not there, or cannot do its work.
    """
    path = _path(home, kind, name)
    try:
        written_s = path.stat().st_mtime
        text = path.read_bytes()[:SIGN_BYTES_MAX].decode(errors="replace")
        age_s = _age_s(text, written_s)
    except FileNotFoundError:
        there = sorted(found.name.removeprefix(f"{kind}-") for found in path.parent.glob(f"{kind}-*"))
        seen = f"; there is {', '.join(there)}" if there else ""
        raise NotHealthyError(f"no {kind} {name!r} is at work with {home} as its home{seen}") from None
    except OSError as error:
        raise NotHealthyError(f"{path} cannot be looked at: {error}") from error
    if age_s == inf:
        raise NotHealthyError(f"{kind} {name!r} left its sign before this machine was started, or on another one")
    if age_s > age_seconds_max:
        raise NotHealthyError(
            f"{kind} {name!r} last could do its work {age_s:.0f} s ago; at most {age_seconds_max:g} s are allowed"
        )
    if age_s < -age_seconds_max:  # whoever left it is not there to renew it by the clock as it is now
        raise NotHealthyError(
            f"{kind} {name!r} left a sign that is {-age_s:.0f} s ahead of the clock, and no other since"
        )
    said = next((line for line in text.splitlines()[1:] if line.startswith((_TROUBLE, _ADVICE))), "")
    if said.startswith(_TROUBLE):
        raise NotHealthyError(f"{kind} {name!r} cannot do its work: {said.removeprefix(_TROUBLE)}")
    return Sign(max(0.0, age_s), said.removeprefix(_ADVICE) if said.startswith(_ADVICE) else None)


def ask_to_end(home: Path, kind: ProcessKind, name: str) -> None:
    """Leave the wish that a process ends; it looks for one now and then.

    Raises:
        NotHealthyError: There is no such process with this home.
        OSError: The wish cannot be left.
    """
    if has_ended(home, kind, name):
        raise NotHealthyError(f"no {kind} {name!r} is at work with {home} as its home")
    _wish(_path(home, kind, name)).write_bytes(b"")


def has_ended(home: Path, kind: ProcessKind, name: str) -> bool:
    """Return whether no process of that name is there: it has ended, or never was."""
    return not _path(home, kind, name).exists()


def _wish(path: Path) -> Path:
    return path.with_name(f"end-{path.name}")


def _line(text: str) -> str:
    return " ".join(text.split())


def _age_s(text: str, written_s: float) -> float:
    """Return the age in seconds; infinite for a sign from before the machine was started, or from another machine."""
    boot, found = _boot(), _CLOCK_LINE.search(text)
    if boot is None or found is None:  # or it is just being written
        return time.time() - written_s
    return time.monotonic() - float(found.group(2)) if found.group(1) == boot else inf


@cache
def _boot() -> str | None:
    """Return what names this run of the machine, on Linux; else None."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _path(home: Path, kind: ProcessKind, name: str) -> Path:
    return home / FOLDER / f"{kind}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:NAME_CHARACTERS_MAX]}"
