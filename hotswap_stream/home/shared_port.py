"""Ports that are listened on: by one process, or by several of this machine that share one.

Those that share it each have a socket of their own with SO_REUSEPORT: Linux spreads new connections over the sockets
that listen, and takes out of them the socket of a process that has ended.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hotswap_stream.errors import ConfigurationError

BACKLOG_CONNECTIONS = 2_048
"""Connections that wait to be accepted."""


def can_be_shared() -> bool:
    """Return whether this system spreads connections over the processes of a port; elsewhere one gets them all."""
    return sys.platform == "linux"


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens.

    Bound before uvicorn starts: uvicorn would log a taken port and exit the process.

    Args:
        host: A name or an address of this machine.
        port: 0 takes a free one.
        shared: Others of the same user may listen there as well, who say so, too.

    Raises:
        ConfigurationError: It cannot listen there.
    """
    with _said(host, port):
        listener = _bound(host, port, (socket.SO_REUSEADDR, *((socket.SO_REUSEPORT,) if shared else ())))
        try:
            listener.listen(BACKLOG_CONNECTIONS)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for processes that will share it, and give its number. ConfigurationError where others have it.

    The socket that keeps it does not listen, so that no connection comes to it.
    """
    with _said(host, port):
        # First without sharing: who listens there may share with anybody of this user, another environment's API too.
        with _bound(host, port, (socket.SO_REUSEADDR,)) as probe:
            found = probe.getsockname()[1]
        try:
            keeper = _bound(host, found, (socket.SO_REUSEPORT,))
        except OSError:  # connections that a former API had there have not faded yet
            keeper = _bound(host, found, (socket.SO_REUSEADDR, socket.SO_REUSEPORT))
    with keeper:
        yield found


def url_of(listener: socket.socket, scheme: str) -> str:
    """Return the URL of what listens there."""
    host, port = listener.getsockname()[:2]
    return http_url(host, port, scheme)


def http_url(host: str, port: int, scheme: str) -> str:
    """Return the URL of a host, which may be an IPv6 address, and a port."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _bound(host: str, port: int, options: tuple[int, ...]) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _, address = found[0]
    # With the protocol named: asyncio sends without delay on such sockets only, and an answer in two writes, head
    # and body, would else wait 40 ms for the other side's acknowledgement.
    bound = socket.socket(family, kind, protocol)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


@contextmanager
def _said(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {error}; set HOTSWAP_API_HOST and HOTSWAP_API_PORT"
        ) from error
