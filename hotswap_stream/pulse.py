"""A sign of life in the home folder, renewed as long as a process can do its work; for checks of containers.

How old it is, is told by the clock that runs since the machine was started, which all its processes and containers
share and nobody sets. Where the system has none that others can be compared by, the file's time has to do.
"""

import os
import re
import time
from functools import cache
from math import inf
from pathlib import Path
from typing import Literal

import structlog

from hotswap_stream.errors import HotswapError

FOLDER = "pulse"
BEAT_SECONDS = 1.0
"""Not renewed more often."""
AGE_SECONDS_MAX = 20.0
"""A process whose sign is older is not taken to work."""
NAME_CHARACTERS_MAX = 200
SIGN_BYTES_MAX = 20_000
_CLOCK = "clock: "
_CLOCK_LINE = re.compile(rf"^{_CLOCK}(\S+) (\d+\.\d+)$", re.MULTILINE)

ProcessKind = Literal["worker", "agents"]

_log = structlog.get_logger(__name__)


class NotHealthyError(HotswapError):
    """The process is not there, or cannot do its work; the message says since when."""


class Pulse:
    """Of one process. `beat` as often as one likes, while all is well; `stop` at the end."""

    def __init__(self, home: Path, kind: ProcessKind, name: str) -> None:
        self._path = _path(home, kind, name)
        self._beaten_s = -BEAT_SECONDS
        self._failed = False

    def beat(self) -> None:
        """Renew the sign. A folder that cannot be written to stops nobody's work; the log says so once."""
        now_s = time.monotonic()
        if now_s - self._beaten_s < BEAT_SECONDS:
            return
        self._beaten_s = now_s
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(f"{os.getpid()}\n{_CLOCK}{_boot()} {now_s:.3f}\n", encoding="utf-8")
        except OSError as error:
            if not self._failed:
                _log.warning("pulse_not_written", file=str(self._path), error=str(error))
            self._failed = True

    def stop(self) -> None:
        """Take the sign away."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("pulse_not_removed", file=str(self._path), error=str(error))


def check(home: Path, kind: ProcessKind, name: str, *, age_seconds_max: float = AGE_SECONDS_MAX) -> float:
    """How many seconds ago the process could do its work. NotHealthyError."""
    path = _path(home, kind, name)
    try:
        age_s = _age_s(path)
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
    return max(0.0, age_s)


def _age_s(path: Path) -> float:
    """OSError. Infinite for a sign from before the machine was started, or of another machine."""
    by_file_s = time.time() - path.stat().st_mtime
    text, boot = path.read_bytes()[:SIGN_BYTES_MAX].decode(errors="replace"), _boot()
    found = _CLOCK_LINE.search(text)
    if boot is None or found is None:  # or it is just being written
        return by_file_s
    return time.monotonic() - float(found.group(2)) if found.group(1) == boot else inf


@cache
def _boot() -> str | None:
    """What names this run of the machine, on Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _path(home: Path, kind: ProcessKind, name: str) -> Path:
    return home / FOLDER / f"{kind}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:NAME_CHARACTERS_MAX]}"
