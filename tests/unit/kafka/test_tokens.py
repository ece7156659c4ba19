"""Tokens for OAUTHBEARER: asked for once, used until most of their life is over, never shown."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.security.tls import TlsFiles
from hotswap_stream.kafka.security.tokens import (
    AiokafkaTokens,
    TokenEndpoint,
    TokenFile,
    TokenUnavailableError,
    expiry_of,
)
from tests.support.kafka.secured_broker import PASSWORD, Authority, TokenServer, unsigned_token

SECRET = PASSWORD.format("ann")
OPENS = "opens-it"


@pytest.fixture
def server() -> Iterator[TokenServer]:
    server = TokenServer(life_seconds=1_000)
    yield server
    server.close()


async def test_one_token_serves_all_until_most_of_its_life_is_over(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = TokenEndpoint(server.url, "ann", SECRET, None, None)
    now_s = time.time()
    first = source.token()
    assert source.token() is first
    assert await AiokafkaTokens(source).token() == first.text
    assert now_s + 990 < first.expires_s < now_s + 1_100
    assert server.handed_out == ["ann"]
    monkeypatch.setattr(time, "time", lambda: now_s + 900)
    assert source.token() is not first
    assert server.handed_out == ["ann", "ann"]


def test_a_valid_token_is_used_on_where_the_server_is_gone(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = TokenEndpoint(server.url, "ann", SECRET, None, None)
    first, now_s = source.token(), time.time()
    server.close()
    monkeypatch.setattr(time, "time", lambda: now_s + 900)
    assert source.token() is first
    monkeypatch.setattr(time, "time", lambda: now_s + 1_100)
    with pytest.raises(TokenUnavailableError, match="HOTSWAP_KAFKA_OAUTH_TOKEN_URL"):
        source.token()


def test_who_is_not_known_hears_it_without_the_secret(server: TokenServer) -> None:
    with pytest.raises(TokenUnavailableError, match="status 401, 'invalid_client'; are HOTSWAP_KAFKA_OAUTH") as error:
        TokenEndpoint(server.url, "ann", "wrong-and-secret", None, None).token()
    assert "wrong-and-secret" not in str(error.value)
    assert server.handed_out == []


def test_a_token_is_not_shown(server: TokenServer) -> None:
    token = TokenEndpoint(server.url, "ann", SECRET, "kafka", None).token()
    assert token.text not in repr(token)


@pytest.mark.parametrize(
    "url", ["ftp://login.example", "login.example/token", "http://login.example/token", "https://"]
)
def test_a_place_that_would_show_the_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="HOTSWAP_KAFKA_OAUTH_TOKEN_URL"):
        TokenEndpoint(url, "ann", SECRET, None, None)


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = TokenFile(str(file))
    with pytest.raises(TokenUnavailableError, match="cannot be read"):
        source.token()
    for content in (b"", b"two words", b"\xff", b"x" * 70_000):
        file.write_bytes(content)
        with pytest.raises(TokenUnavailableError, match="holds no token"):
            source.token()
    file.write_text(unsigned_token("ann", -5))
    with pytest.raises(TokenUnavailableError, match=r"expired \d+ s ago"):
        source.token()
    for life in (100, 200):
        file.write_text(unsigned_token("ann", life) + "\n")
        assert 0 < source.token().expires_s - time.time() <= life


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "..", "a.bnVsbA.c", "a.eyJleHAiOiJ4In0.c", "a.W10.c", "a.e30.c"])
def test_what_says_no_end_has_none(token: str) -> None:
    assert expiry_of(token) is None


def test_security_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="OAUTHBEARER needs HOTSWAP_KAFKA_OAUTH_TOKEN_FILE"):
        KafkaConnection(
            bootstrap_servers="k:1", security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER"
        ).librdkafka_options()
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("ann", key_password=OPENS)
    for files, said in (
        (TlsFiles(certificate_file=str(certificate)), "go together"),
        (TlsFiles(certificate_file=str(certificate), key_file=str(key)), "HOTSWAP_KAFKA_SSL_KEY_PASSWORD right"),
        (TlsFiles(certificate_file=str(key), key_file=str(key), key_password=OPENS), "is it PEM"),
        (TlsFiles(ca_file=str(tmp_path / "none")), "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            KafkaConnection(bootstrap_servers="k:1", security_protocol="SSL", tls=files).client_options()
    files = TlsFiles(
        ca_file=str(authority.file),
        certificate_file=str(certificate),
        key_file=str(key),
        key_password=OPENS,
    )
    connection = KafkaConnection(bootstrap_servers="k:1", security_protocol="SSL", tls=files)
    assert connection.client_options()["ssl_context"] is not None
    assert connection.librdkafka_options()["ssl.key.password"] == OPENS
    assert OPENS not in repr(connection) + repr(files)
