"""What the processes of one machine remember of the registry log: a small file in the home for each log they know.

Another log under the same name is noticed by it at the next start. A file that does not read is put aside and told of:
it says nothing, and the log that is there is remembered anew.
"""

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

FOLDER = "registry"
NAME_CHARACTERS_MAX = 100
DIGEST_CHARACTERS = 12

_log = structlog.get_logger(__name__)

Seen = TypeVar("Seen", bound=msgspec.Struct)


class HomeLogMemory(Generic[Seen]):
    """Remembers one log, told apart by topic prefix and by where its cluster is.

    `kind` is the class of what is remembered.
    """

    def __init__(self, home: Path, kind: type[Seen], *, prefix: str, cluster: str) -> None:
        self.path = home / FOLDER / f"{_file_name(prefix, cluster)}.json"
        self._decoder = msgspec.json.Decoder(kind)
        self._failed = False

    def recall(self) -> Seen | None:
        """Return what was remembered; None when there is nothing, or nothing that can be read."""
        try:
            return self._decoder.decode(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("log_memory_not_read", error)
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            aside = self.path.with_suffix(".damaged")
            _log.warning("log_memory_damaged", file=str(self.path), put_aside=str(aside), error=str(error))
            try:
                self.path.replace(aside)
            except OSError as failure:
                self._warn("log_memory_not_put_aside", failure)
            return None

    def remember(self, seen: Seen) -> None:
        """Remember `seen` in place of what was.

        A home that cannot be written to stops nobody's work; the log says so.
        """
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(seen))
            partial.replace(self.path)
        except OSError as error:
            self._warn("log_memory_not_written", error)

    def forget(self) -> bool:
        """Forget what was remembered, and return whether there was something."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _warn(self, event: str, error: OSError) -> None:
        if not self._failed:
            _log.warning(event, file=str(self.path), error=str(error))
        self._failed = True


def _file_name(prefix: str, cluster: str) -> str:
    """Return a name that people can read, and that differs for any two clusters."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{prefix}@{cluster}")[:NAME_CHARACTERS_MAX]
    return f"{readable}-{sha256(f'{prefix} {cluster}'.encode()).hexdigest()[:DIGEST_CHARACTERS]}"
