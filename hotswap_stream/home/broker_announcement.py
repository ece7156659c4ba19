"""The embedded broker of this home, announced for the other commands while its process runs."""

import os
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

BROKER_FILE = "broker.json"


class RunningBroker(Struct, frozen=True, kw_only=True):
    """Where an embedded broker is, and whose it is."""

    bootstrap_servers: str
    pid: int
    started_s: float
    """Start time of the process, so that a later process with the same id is not taken for it."""
    data_dir: str | None = None
    """Where its data stays; None: the data goes with the process."""


def announce(home: Path, bootstrap_servers: str, data_dir: Path | None = None) -> None:
    """Let other commands with the same home find the embedded broker of this process.

    Args:
        home: The home folder.
        bootstrap_servers: `host:port` of each node, separated by commas.
        data_dir: Where its data stays; None: the data goes with the process.
    """
    home.mkdir(parents=True, exist_ok=True)
    broker = RunningBroker(
        bootstrap_servers=bootstrap_servers,
        pid=os.getpid(),
        started_s=psutil.Process().create_time(),
        data_dir=None if data_dir is None else str(data_dir.absolute()),
    )
    temporary = home / f"{BROKER_FILE}.{os.getpid()}"
    temporary.write_bytes(msgspec.json.encode(broker))
    temporary.replace(home / BROKER_FILE)


def withdraw(home: Path) -> None:
    """Take back what `announce` said."""
    (home / BROKER_FILE).unlink(missing_ok=True)


def find(home: Path) -> RunningBroker | None:
    """Return the embedded broker of this home; None unless the process that announced it still runs."""
    try:
        broker = msgspec.json.decode((home / BROKER_FILE).read_bytes(), type=RunningBroker)
        if abs(psutil.Process(broker.pid).create_time() - broker.started_s) > 1.0:
            return None
    except (FileNotFoundError, msgspec.DecodeError, psutil.NoSuchProcess):
        return None
    return broker
