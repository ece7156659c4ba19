"""Kubernetes' service links are passed over, exactly they, and no typing error with them."""

import pytest

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.listed_settings import parse_allowed_hosts
from hotswap_stream.settings import load_settings, passed_over


def links(service: str, port: int = 8000, name: str = "http", protocol: str = "tcp") -> dict[str, str]:
    """As Kubernetes sets them: its Go code, `makeLinkVariables` and `FromServices`."""
    number = f"{service}_PORT_{port}_{protocol.upper()}"
    url = f"{protocol}://10.96.3.7:{port}"
    return {
        f"{service}_SERVICE_HOST": "10.96.3.7",
        f"{service}_SERVICE_PORT": str(port),
        f"{service}_SERVICE_PORT_{name.upper()}": str(port),
        f"{service}_PORT": url,
        number: url,
        f"{number}_PROTO": protocol,
        f"{number}_PORT": str(port),
        f"{number}_ADDR": "10.96.3.7",
    }


@pytest.mark.parametrize(
    "environment",
    [
        links("HOTSWAP_API"),
        links("HOTSWAP_BROKER", 9092),
        links("HOTSWAP"),
        links("HOTSWAP_STREAM_API_V2", 9000, "metrics", "udp"),
        links("HOTSWAP_API") | links("HOTSWAP_WORKERS", 1, "a_b", "sctp"),
        {name: value.replace("10.96.3.7", "fd00::7") for name, value in links("HOTSWAP_API").items()},
    ],
)
def test_services_named_hotswap_something_end_no_pod(environment: dict[str, str]) -> None:
    """A service `hotswap-api` in the namespace ended every pod of it with a settings error."""
    settings = load_settings({**environment, "HOTSWAP_TOPIC_PREFIX": "models"})
    assert settings.topic_prefix == "models"
    assert (settings.api_port, settings.broker_port) == (8000, None)
    assert passed_over({**environment, "HOTSWAP_TOPIC_PREFIX": "models"}) == environment.keys()


def test_what_the_pod_says_itself_counts() -> None:
    """Variables of the pod's own stand above those of services."""
    settings = load_settings({**links("HOTSWAP_API"), "HOTSWAP_API_PORT": "9000"})
    assert settings.api_port == 9000


@pytest.mark.parametrize(
    "environment",
    [
        {"HOTSWAP_API_PORT": "tcp://10.96.3.7:8000"},
        {"HOTSWAP_API_SERVICE_HOST": "10.96.3.7"},
        {"HOTSWAP_API_SERVICE_HOST": "10.96.3.7", "HOTSWAP_API_SERVICE_PORT": "http"},
        {"HOTSWAP_API_SERVICE_HOST": "true", "HOTSWAP_API_SERVICE_PORT": "8000"},
        {**links("HOTSWAP_API"), "HOTSWAP_API_POTR": "8000"},
        {**links("HOTSWAP_API"), "HOTSWAP_API_PORTS": "tcp://10.96.3.7:8000"},
        {**links("HOTSWAP_API"), "HOTSWAP_API_PORT": "eight thousand"},
        {**links("HOTSWAP_API"), "HOTSWAP_API_PORT_8000": "tcp://10.96.3.7:8000"},
        {**links("HOTSWAP_API"), "HOTSWAP_WORKER_PORT": "tcp://10.96.3.7:8000"},
    ],
)
def test_typing_errors_are_refused_as_ever(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"HOTSWAP_|api_port"):
        load_settings(environment)


def test_host_names_are_read() -> None:
    assert parse_allowed_hosts(" hotswap-api, *.example.com ,, *") == ("hotswap-api", "*.example.com", "*")
    for wrong in ("http://api", "api:8000", "*example.com", "a b", "a..b", "api/"):
        with pytest.raises(ConfigurationError, match="HOTSWAP_API_ALLOWED_HOSTS"):
            parse_allowed_hosts(wrong)
