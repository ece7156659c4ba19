"""What the workers wrote into their logs of their starts and of their partitions."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.torture.facts import Said


def said_by_workers(log_folder: Path, began_ms: int) -> list[Said]:
    """Read the logs, which must be of the format `json`; in order of time.

    Args:
        log_folder: With a file for each worker, `<name>.log`.
        began_ms: What the clock of the run began at; in ms since 1970.
    """
    found = []
    for path in sorted(log_folder.glob("w*.log")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            said = _said(path.stem, line, began_ms)
            if said is not None:
                found.append(said)
    return sorted(found, key=lambda said: said.at_s)


def _said(worker: str, line: str, began_ms: int) -> Said | None:
    try:
        entry: Any = json.loads(line)
        event, at = entry["event"], datetime.fromisoformat(entry["timestamp"])
    except (ValueError, TypeError, KeyError):  # a line that another library wrote
        return None
    if event not in ("worker_started", "partitions_assigned"):
        return None
    partitions = tuple(entry["partitions"]) if event == "partitions_assigned" else None
    return Said(at_s=round(at.timestamp() - began_ms / 1_000, 2), worker=worker, partitions=partitions)
