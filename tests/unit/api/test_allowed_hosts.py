"""Which names a server answers to."""

import pytest

from hotswap_stream.api.protocol.allowed_hosts import AllowedHosts, own_names


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "app.localhost:80",
        "127.0.0.1:8000",
        "10.1.2.3",
        "[::1]:8000",
        "[fd00::7]",
        "hotswap-api",
        "hotswap-api:8000",
        "a.b.example.com",
    ],
)
def test_names_that_are_known_and_addresses(host: str) -> None:
    hosts = AllowedHosts((*own_names("127.0.0.1"), "Hotswap-API", "*.example.com"))
    assert hosts.allow(host.encode())
    assert hosts.allow(host.encode()), "the second time it is remembered"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example:8000",
        "example.com",
        "evilexample.com",
        "",
        ":8000",
        "localhost:",
        "localhost:8000:9000",
        "localhost:port",
        "[::1",
        "[evil.example]",
        "localhost, evil.example",
        "local host",
        "\xff",
        "x" * 100_000,
    ],
)
def test_other_names_and_what_is_no_name(host: str) -> None:
    assert not AllowedHosts((*own_names("0.0.0.0"), "*.example.com")).allow(host.encode("latin-1"))  # noqa: S104


def test_any_name_on_demand() -> None:
    assert AllowedHosts(["*"]).allow(b"whatever.example:1")
    assert not AllowedHosts(["*"]).allow(b"no name")
