"""Ports are free, different, and out of the way of outgoing connections."""

import socket
from pathlib import Path

import pytest

from hotswap_stream.broker import PortTakenError
from hotswap_stream.broker.ports import HOST, is_free, pick_free_ports, require_free


def test_picked_ports_are_free_and_different() -> None:
    ports = pick_free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_excluded_ports_are_not_picked() -> None:
    first = pick_free_ports(1)
    assert first[0] not in pick_free_ports(50, excluded=first)


def test_picked_ports_are_none_the_system_gives_to_connections() -> None:
    settings = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(settings.read_text().split()[0]) if settings.exists() else 32_768
    if lowest > 21_000:
        assert max(pick_free_ports(20)) < lowest


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} on 127.0.0.1 is taken"):
            require_free([port])
