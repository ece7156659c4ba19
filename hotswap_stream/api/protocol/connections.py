"""Open connections of the server: how many there may be, how long each may take, and which one makes room.

Those that wait for their client make room: for a request, or for the rest of one. Those that the server is at work for
do not.
"""

from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Protocol

import structlog
from msgspec import Struct

_log = structlog.get_logger(__name__)

IPV6_BITS_OF_A_CLIENT = 64
"""A client is counted by these first bits of its address: one household or machine has the rest for itself."""
TOLD_SECONDS = 60.0
"""How often the log is told of connections that were cut off."""


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """The limits of one server."""

    connections_max: int = 800
    connections_per_address_max: int = 400
    """An address that has more gives up its own, so that no client alone keeps out the others."""
    head_seconds_max: float = 10.0
    """From the connection, or the first byte of one more request, to the end of the request's headers."""
    body_seconds_max: float = 60.0
    """From the end of the headers to the end of the body, as long as the server reads; more if much has come."""
    body_bytes_per_second_min: int = 65_536
    """Bytes of a body that allow it one more second."""
    send_seconds_max: float = 30.0
    """A client that takes nothing of its answer for this long is cut off."""

    def body_seconds(self, received_bytes: int) -> float:
        """Return how long a body may take of which this much has come."""
        return self.body_seconds_max + received_bytes / self.body_bytes_per_second_min


class Connection(Protocol):
    """What is needed of a connection here."""

    address: str
    """The client's address; see `client_address`."""

    def waits_since(self) -> float | None:
        """Return since when the server waits for more of a request; None while it answers one."""
        ...

    def overdue(self, now: float, limits: ConnectionLimits) -> str | None:
        """Return what took too long, if anything."""
        ...

    def end(self, status: int, message: str) -> None:
        """Send this answer where one is still possible, and close."""
        ...


class Connections:
    """All connections of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._cut_off: Counter[str] = Counter()
        """Since the log was told last, by why."""
        self._told_at = -TOLD_SECONDS

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> str | None:
        """Count one more, and return None; or return why there is no place for it."""
        limits, address = self.limits, connection.address
        if self._by_address[address] >= limits.connections_per_address_max and not self._made_room(address):
            self._cut_off["refused"] += 1
            return f"{limits.connections_per_address_max} connections of this address are at work; try again later"
        if len(self._open) >= limits.connections_max and not self._made_room(None):
            self._cut_off["refused"] += 1
            return f"{limits.connections_max} connections are at work; try again later"
        self._open.add(connection)
        self._by_address[address] += 1
        return None

    def remove(self, connection: Connection) -> None:
        """Count one less; nothing if it is not counted."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def end_overdue(self, now: float) -> None:
        """End what takes too long. Call this about once a second."""
        for connection in tuple(self._open):
            overdue = connection.overdue(now, self.limits)
            if overdue is not None:
                self._cut_off["overdue"] += 1
                self.remove(connection)
                connection.end(408, overdue)
        if self._cut_off and now - self._told_at >= TOLD_SECONDS:
            _log.warning("connections_cut_off", open=len(self), **self._cut_off)
            self._cut_off.clear()
            self._told_at = now

    def _made_room(self, address: str | None) -> bool:
        """Close the one that has kept the server waiting longest: of this address, or of the one that has most."""
        waiting = [
            (connection, since)
            for connection in self._open
            if address in (None, connection.address) and (since := connection.waits_since()) is not None
        ]
        if not waiting:
            return False
        oldest, _ = min(waiting, key=lambda each: (-self._by_address[each[0].address], each[1]))
        self._cut_off["made_room"] += 1
        self.remove(oldest)
        oldest.end(408, "This connection kept the server waiting, and others need its place.")
        return True


def client_address(host: str | None) -> str:
    """What counts as one client: an IPv4 address, or the network of an IPv6 address."""
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return host or "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        bits = 128 - IPV6_BITS_OF_A_CLIENT
        return f"{IPv6Address(int(address) >> bits << bits)}/{IPV6_BITS_OF_A_CLIENT}"
    return str(address)
