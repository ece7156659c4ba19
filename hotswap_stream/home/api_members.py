"""What API processes behind one port leave for each other, in a folder that is theirs while they run.

A connection comes to one of them, whichever it is, and who asks for metrics means all of them. So each leaves there
what it counted, once a second, and answers the others at a socket of its own; the first one tells of all.
"""

import asyncio
import os
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from hotswap_stream.errors import ConfigurationError

ASK_SECONDS_MAX = 5.0
COUNTS_BYTES_MAX = 1024**2
PAGE_BYTES_MAX = 256 * 1024**2
_HEAD_BYTES_MAX = 16 * 1024
_SOCKET_PATH_BYTES_MAX = 107
"""On Linux (`sun_path`, with its end)."""

_log = structlog.get_logger(__name__)

SwitchSeries = tuple[str, str, str, str]
"""Model name, version in production, version asked for, refusal code."""


class MemberCounts(Struct, frozen=True, kw_only=True):
    """What one process says of itself, or several of themselves together."""

    ready: bool = True
    follows_log: bool = True
    event_stream_clients: int = 0
    memory_bytes: int = 0
    cpu_s: float = 0.0
    not_permitted: dict[str, int] = {}
    """Reason → requests refused because of who asked."""
    refused_switches: list[tuple[SwitchSeries, int]] = []

    def with_former(self, former: "MemberCounts") -> "MemberCounts":
        """Return these with what was counted by a process that has ended: its place is this one's now."""
        return msgspec.structs.replace(self.with_other(former), **_present(self))

    def with_other(self, other: "MemberCounts") -> "MemberCounts":
        """Return what both say together."""
        switches = dict(self.refused_switches)
        for series, count in other.refused_switches:
            switches[series] = switches.get(series, 0) + count
        reasons = self.not_permitted | {
            reason: self.not_permitted.get(reason, 0) + count for reason, count in other.not_permitted.items()
        }
        return MemberCounts(
            ready=self.ready and other.ready,
            follows_log=self.follows_log and other.follows_log,
            event_stream_clients=self.event_stream_clients + other.event_stream_clients,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            cpu_s=self.cpu_s + other.cpu_s,
            not_permitted=reasons,
            refused_switches=list(switches.items()),
        )


def _present(counts: MemberCounts) -> dict[str, bool | int]:
    """Return what is so now, and is no count."""
    return {name: getattr(counts, name) for name in ("ready", "follows_log", "event_stream_clients", "memory_bytes")}


class ApiMember:
    """One of `count` processes behind a port; `number` begins with 1."""

    def __init__(self, folder: Path, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self._folder = folder
        self._former = self._left(number) or MemberCounts()
        self._failed = False

    @property
    def first(self) -> bool:
        """Whether this is the one that tells of all."""
        return self.number == 1

    @property
    def socket(self) -> Path:
        """Return where this one answers the others."""
        return socket_of(self._folder, self.number)

    def leave(self, counts: MemberCounts) -> None:
        """Leave what this process counted. A folder that cannot be written to stops nobody's work."""
        path = self._path(self.number)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            partial.write_bytes(msgspec.json.encode(counts.with_former(self._former)))
            partial.replace(path)
        except OSError as error:
            if not self._failed:
                _log.warning("counts_not_left", file=str(path), error=str(error))
            self._failed = True

    def together(self, counts: MemberCounts) -> MemberCounts:
        """Return what all processes say together, this one by what it counted just now."""
        found = counts.with_former(self._former)
        for number in range(1, self.count + 1):
            if number != self.number and (other := self._left(number)) is not None:
                found = found.with_other(other)
        return found

    async def page_of_first(self) -> bytes | None:
        """Return what the first process shows at `/metrics`; None where it does not answer."""
        return await asked(self._folder, 1, "/metrics")

    def _left(self, number: int) -> MemberCounts | None:
        try:
            with self._path(number).open("rb") as file:
                return msgspec.json.decode(file.read(COUNTS_BYTES_MAX), type=MemberCounts)
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.json"


def check_folder(folder: Path, count: int) -> None:
    """Raise ConfigurationError where the names of the sockets there would be longer than the system takes."""
    length = len(os.fsencode(socket_of(folder, count)))
    if length > _SOCKET_PATH_BYTES_MAX:
        raise ConfigurationError(
            f"{socket_of(folder, count)} has {length} bytes, and a socket's path at most {_SOCKET_PATH_BYTES_MAX}: "
            "name a folder by a shorter path in TMPDIR"
        )


def socket_of(folder: Path, number: int) -> Path:
    """Return where a process answers the others."""
    return folder / f"{number}.sock"


async def asked(folder: Path, number: int, path: str) -> bytes | None:
    """Ask one of the processes at its own socket.

    Args:
        folder: That of all of them.
        number: Which one.
        path: `/metrics`, `/livez` or `/readyz`.

    Returns:
        What it says; None where it is not there, does not answer in time, or is not well.
    """
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            reader, writer = await asyncio.open_unix_connection(str(socket_of(folder, number)), limit=_HEAD_BYTES_MAX)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: member\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                body = bytearray()
                while len(body) <= PAGE_BYTES_MAX and (piece := await reader.read(65_536)):
                    body += piece
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    return bytes(body) if head.startswith(b"HTTP/1.1 200 ") and len(body) <= PAGE_BYTES_MAX else None
