"""Ports on the loopback interface."""

import contextlib
import random
import socket
from collections.abc import Collection
from pathlib import Path

from hotswap_stream.broker.errors import PortTakenError

HOST = "127.0.0.1"
_LOWEST = 20_000
_EPHEMERAL_LOWEST_DEFAULT = 32_768
_TRIES_MAX = 500


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a port in TIME_WAIT after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def pick_free_ports(count: int, excluded: Collection[int] = ()) -> list[int]:
    """Return `count` different free ports, below those that the system gives to outgoing connections where possible.

    There no connection takes the port between this look and the broker's bind, none takes it while a broker is down
    between a kill and its restart, and no client that retries on it can end up connected to itself.
    """
    picked: list[int] = []
    highest = _ephemeral_lowest()
    if highest - _LOWEST >= 1_000:
        for _ in range(_TRIES_MAX):
            if len(picked) == count:
                return picked
            port = random.randrange(_LOWEST, highest)  # noqa: S311 - no secret
            if port not in picked and port not in excluded and is_free(port):
                picked.append(port)
    while len(picked) < count:
        port = _from_system()
        if port not in picked and port not in excluded:
            picked.append(port)
    return picked


def require_free(ports: Collection[int]) -> None:
    """Raise PortTakenError for the first port that another process listens on."""
    for port in ports:
        if not is_free(port):
            raise PortTakenError(
                f"port {port} on {HOST} is taken by another process; end it, give another port, "
                "or give none to have a free one picked"
            )


def _ephemeral_lowest() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return _EPHEMERAL_LOWEST_DEFAULT


def _from_system() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
