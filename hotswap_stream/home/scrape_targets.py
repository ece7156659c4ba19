"""Where the processes of this home serve `/metrics`: a file for each, in the form of Prometheus' file discovery.

The file of a process that was killed stays, so that Prometheus sees that it is down, until it is started again.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

FOLDER = "metrics"
NAME_CHARACTERS_MAX = 200

TargetKind = Literal["api", "worker", "agents"]

_log = structlog.get_logger(__name__)


def announce(home: Path, kind: TargetKind, name: str, address: str, *, scheme: str = "http") -> None:
    """Leave an address, as `host:port`. A folder that cannot be written to stops nobody's work; the log says so."""
    path = _path(home, kind, name)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    target: dict[str, Any] = {"targets": [address], "labels": {"job": f"hotswap-{kind}", "instance": name}}
    if scheme != "http":
        target["labels"] |= {"__scheme__": scheme}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.encode([target]) + b"\n")
        partial.replace(path)
    except OSError as error:
        _log.warning("scrape_target_not_written", file=str(path), error=str(error))


def withdraw(home: Path, kind: TargetKind, name: str) -> None:
    """Take the address back."""
    try:
        _path(home, kind, name).unlink(missing_ok=True)
    except OSError as error:
        _log.warning("scrape_target_not_removed", file=str(_path(home, kind, name)), error=str(error))


def _path(home: Path, kind: TargetKind, name: str) -> Path:
    return home / FOLDER / f"{kind}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[:NAME_CHARACTERS_MAX]}.json"
