"""What the broker wrote before it ended, and what that means."""

from enum import Enum
from pathlib import Path

from hotswap_stream.broker.broker_config import LOG_FILE_NAME

JVM_OUTPUT_NAME = "jvm-output.log"
_TAIL_BYTES_MAX = 64 * 1024
_TAIL_LINES_MAX = 30
_LINE_CHARACTERS_MAX = 400


class Cause(Enum):
    """Why a broker ended, as far as its log tells."""

    PORT_TAKEN = "port taken"
    DISK_FULL = "disk full"
    DISK_FAILED = "disk failed"
    SETTING_WRONG = "setting wrong"
    UNKNOWN = "unknown"


def log_tail(log_dir: Path) -> str:
    """Return the last lines of the log of this start, and of what the JVM itself printed."""
    parts = [_last_lines(log_dir / LOG_FILE_NAME.format(generation=0)), _last_lines(log_dir / JVM_OUTPUT_NAME)]
    return "\n".join(part for part in parts if part)


_SIGNS = (
    (Cause.PORT_TAKEN, ("Address already in use", "java.net.BindException")),
    # The last two: a quota, and a limit on the size of a file; neither shows in the free space of the disk.
    (Cause.DISK_FULL, ("No space left on device", "Disk quota exceeded", "File too large")),
    (Cause.DISK_FAILED, ("because all log dirs in", "Input/output error", "Read-only file system")),
    (Cause.SETTING_WRONG, ("common.config.ConfigException: ",)),
)


def find_cause(tail: str) -> Cause:
    """Return the cause that a log's tail names; the first of several, None for none."""
    return next((cause for cause, signs in _SIGNS if any(sign in tail for sign in signs)), Cause.UNKNOWN)


def _last_lines(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES_MAX))
            text = file.read(_TAIL_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    lines = [line[:_LINE_CHARACTERS_MAX] for line in text.splitlines() if not line.startswith(("\tat ", "\t... "))]
    return "\n".join(lines[-_TAIL_LINES_MAX:])
