"""Folders that a training run or an evaluation writes into, and what is left of those whose owner was killed."""

import shutil
import tempfile
import time
from pathlib import Path

LEFT_SECONDS_MIN = 86_400.0
"""A folder nobody wrote into for a day, or for longer than a run may take, belongs to nobody."""


def make_work_folder(parent: Path, prefix: str, *, seconds_max: float) -> Path:
    """Make a new folder; older ones of this prefix that belong to nobody are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    left_before_s = time.time() - max(LEFT_SECONDS_MIN, 2 * seconds_max)
    for folder in parent.glob(f"{prefix}*"):
        try:
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_mtime < left_before_s:
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # its owner was faster
            continue
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
