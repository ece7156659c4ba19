"""What each process of the run takes, looked at now and then: memory, descriptors, threads; and the disk of all."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from tests.soak.flatness import Measure, Series

_SERVANTS = ("agents", "api", "trainers")
_BLOCK_BYTES = 512


def role_of(argv: Sequence[str]) -> str | None:
    """The name by which a process is reported; None for those that are no part of what is tried."""
    if argv and Path(argv[0]).name == "java":
        return "broker"
    if "hotswap_stream.cli" not in argv:
        return None
    command = argv[argv.index("hotswap_stream.cli") + 1 :]
    if command[:2] == ["worker", "--name"] and len(command) > 2:
        return str(command[2])
    return command[0] if command and command[0] in _SERVANTS else None


def bytes_on_disk(folder: Path, leave_out: Iterable[str] = ()) -> int:
    """What the files of a folder take on the disk, without folders of these names."""
    left_out, total = set(leave_out), 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in left_out]
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * _BLOCK_BYTES
            except OSError:  # gone meanwhile
                continue
    return total


class Samples:
    """Series of all processes below this one."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, int, Measure], Series] = {}

    def put(self, at_s: float, process: str, pid: int, measure: Measure, value: float) -> None:
        """One more point."""
        key = (process, pid, measure)
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series(process, pid, measure)
        series.at_s.append(round(at_s, 2))
        series.values.append(value)

    def look(self, at_s: float) -> None:
        """Look at every process once."""
        for process in psutil.Process().children(recursive=True):
            try:
                role = role_of(process.cmdline())
                if role is None:
                    continue
                # What would be free without it: what it shares with others is theirs as well. A broker's connections
                # are its clients', which come and go.
                found: dict[Measure, float] = {
                    "memory": process.memory_full_info().uss,
                    "descriptors": len(process.open_files()) if role == "broker" else process.num_fds(),
                    "threads": process.num_threads(),
                }
            except (psutil.Error, OSError):  # it has just ended, or has not begun
                continue
            for measure, value in found.items():
                self.put(at_s, role, process.pid, measure, value)
