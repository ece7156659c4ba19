"""What a version was made with, so that it can be made again."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

from hotswap_stream import __version__

GIT_SECONDS_MAX = 5.0


def code_revision() -> str:
    """Return `git <hash>` of the working tree of this code (`-dirty` if changed), else `hotswap-stream <release>`."""
    here = Path(__file__)
    # A package installed below somebody's repository is not part of it: only a tracked file counts.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name):
        revision = _git(here.parent, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
        if revision:
            return f"git {revision}"
    return f"hotswap-stream {__version__}"


def environment() -> dict[str, str]:
    """Return versions of what changes the result of a training."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "safetensors": _release("safetensors"),
        "hotswap-stream": __version__,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _release(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
