"""How Faust is set up: contained, and with the cluster's security."""

import ssl
from pathlib import Path
from typing import Any

import faust.streams
import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.security.tls import TlsFiles
from hotswap_stream.kafka.security.tokens import BearerToken
from hotswap_stream.kafka_settings import SaslMechanism, SecurityProtocol


def agents(connection: KafkaConnection) -> FaustAgents:
    return FaustAgents(connection, group="unit-agents", instance="unit-agents-1", table_topic="unit.agents.heads")


def settings(connection: KafkaConnection) -> Any:
    return agents(connection)._app.conf


async def test_faust_is_contained() -> None:
    conf = settings(KafkaConnection(bootstrap_servers="one:9092,two:9093"))
    assert [str(url) for url in conf.broker] == ["kafka://one:9092", "kafka://two:9093"]
    assert (conf.id, conf.consumer_group_instance_id) == ("unit-agents", "unit-agents-1")
    assert conf.processing_guarantee.value == "at_least_once"
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval, conf.broker_commit_interval) == (10, 3, 0.3)
    assert conf.producer_linger == 0
    assert str(conf.store) == "memory:"
    for switched_off in (
        conf.web_enabled,
        conf.stream_wait_empty,
        conf.worker_redirect_stdouts,
        conf.autodiscover,
        conf.topic_allow_declare,
        conf.table_standby_replicas,
    ):
        assert not switched_off
    assert conf.topic_disable_leader


class Tokens:
    """A TokenSource."""

    def token(self) -> BearerToken:
        return BearerToken("secret", 2e9)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
async def test_faust_connects_as_every_other_client_does(
    protocol: SecurityProtocol,
    mechanism: SaslMechanism,
) -> None:
    connection = KafkaConnection(
        bootstrap_servers="one:9092",
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username="alice",
        sasl_password="secret",  # noqa: S106
        tokens=Tokens() if mechanism == "OAUTHBEARER" else None,
    )
    options = dict(credentials_to_aiokafka_auth(settings(connection).broker_credentials))
    expected = connection.client_options()
    context, expected_context = options.pop("ssl_context", None), expected.pop("ssl_context", None)
    tokens, expected_tokens = (found.pop("sasl_oauth_token_provider", None) for found in (options, expected))
    assert (tokens is None) == (expected_tokens is None)
    if tokens is not None:
        assert await tokens.token() == "secret"
    assert options == {name: value for name, value in expected.items() if name != "bootstrap_servers"}
    assert (context is None) == (expected_context is None)
    if context is not None:
        assert isinstance(context, ssl.SSLContext)
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED


async def test_security_that_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SASL_SSL needs a SASL user name and password"):
        settings(KafkaConnection(bootstrap_servers="one:9092", security_protocol="SASL_SSL", sasl_username="alice"))
    with pytest.raises(ConfigurationError, match=r"'.*/no-such\.pem' cannot be read"):
        settings(
            KafkaConnection(
                bootstrap_servers="one:9092",
                security_protocol="SSL",
                tls=TlsFiles(ca_file=str(tmp_path / "no-such.pem")),
            )
        )
    connection: Any = KafkaConnection(bootstrap_servers="one:9092", security_protocol="QUIC")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'QUIC' is not one of"):
        settings(connection)
    connection = KafkaConnection(
        bootstrap_servers="one:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="GUESS",  # type: ignore[arg-type]
        sasl_username="alice",
        sasl_password="secret",  # noqa: S106
    )
    with pytest.raises(ConfigurationError, match="'GUESS' is not one of"):
        settings(connection)


async def test_faust_without_its_compiled_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust.streams, "_CStreamIterator", None)
    with pytest.raises(ConfigurationError, match="without its compiled parts"):
        agents(KafkaConnection(bootstrap_servers="one:9092"))
