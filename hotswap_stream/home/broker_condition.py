"""How the embedded broker is: told by the process that keeps it to all others with the same home."""

import time
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from hotswap_stream.home import broker_announcement

CONDITION_FILE = "broker-condition.json"
CONDITION_BYTES_MAX = 4096
"""The file always has this length and is written in place: on a full disk a longer or a new one would find no room."""
WORDS_CHARACTERS_MAX = 1_000
READ_SECONDS = 0.25
"""The file is not read more often than this."""

_log = structlog.get_logger(__name__)


class BrokerCondition(Struct, frozen=True, kw_only=True):
    """What there is to say about the broker now."""

    state: Literal["serving", "away"] = "serving"
    since_s: float = 0.0
    """Seconds since 1970, by this machine's clock."""
    because: str = ""
    """Why the broker is away, and what to do about it."""
    disk_warning: str = ""
    """What there is to say about its disk while it serves; empty when all is well."""
    restarts: int = 0


class ConditionFile:
    """The file in the home that tells the condition. A failure to write it is logged once: it must stop nothing."""

    def __init__(self, home: Path) -> None:
        self._path = home / CONDITION_FILE
        self._failed = False

    def open(self) -> None:
        """Take the room on the disk while there is some."""
        self._write(BrokerCondition(since_s=time.time()), new=True)

    def tell(self, condition: BrokerCondition) -> None:
        """Overwrite what was told before."""
        self._write(condition, new=False)

    def remove(self) -> None:
        """Remove the file."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("broker_condition_not_removed", file=str(self._path), error=str(error))

    def _write(self, condition: BrokerCondition, *, new: bool) -> None:
        short = msgspec.structs.replace(
            condition,
            because=condition.because[:WORDS_CHARACTERS_MAX],
            disk_warning=condition.disk_warning[:WORDS_CHARACTERS_MAX],
        )
        content = msgspec.json.encode(short).ljust(CONDITION_BYTES_MAX)
        try:
            if new:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_bytes(content)
            else:
                with self._path.open("r+b") as file:
                    file.write(content)
        except OSError as error:
            if not self._failed:
                _log.warning("broker_condition_not_written", file=str(self._path), error=str(error))
            self._failed = True


class ConditionWatch:
    """The condition as it was a moment ago, for those who ask at each request."""

    def __init__(self, home: Path, bootstrap_servers: str) -> None:
        self._home = home
        self._bootstrap_servers = bootstrap_servers
        self._read_s = float("-inf")
        self._found: BrokerCondition | None = None

    def __call__(self) -> BrokerCondition | None:
        """Return the condition; see `read_condition`."""
        now_s = time.monotonic()
        if now_s - self._read_s >= READ_SECONDS:
            self._read_s = now_s
            self._found = read_condition(self._home, self._bootstrap_servers)
        return self._found


def read_condition(home: Path, bootstrap_servers: str) -> BrokerCondition | None:
    """Return the condition of this home's embedded broker; None unless it is the one at these addresses, and kept."""
    running = broker_announcement.find(home)
    if running is None or running.bootstrap_servers != bootstrap_servers:
        return None
    try:
        return msgspec.json.decode((home / CONDITION_FILE).read_bytes(), type=BrokerCondition)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None  # not there, or being overwritten just now
