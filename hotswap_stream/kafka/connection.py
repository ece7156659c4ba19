"""How to reach the cluster: one value that every Kafka client of this package is built from."""

from typing import Any

from msgspec import Struct

import hotswap_stream.kafka.total_records  # noqa: F401 - whoever connects reads what others wrote, whatever it is
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.kafka.security.tls import TlsFiles, librdkafka_tls, tls_context
from hotswap_stream.kafka.security.tokens import AiokafkaTokens, TokenSource
from hotswap_stream.kafka_settings import SaslMechanism, SecurityProtocol

RECONNECT_MS_MAX = 1_000
"""A broker that is back is found so soon. librdkafka would double its pauses up to ten seconds, also for a broker that
was away for six."""


class KafkaConnection(Struct, frozen=True, kw_only=True):
    """Bootstrap servers and security. `repr` leaves the password out."""

    bootstrap_servers: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    tokens: TokenSource | None = None
    """Where tokens for OAUTHBEARER come from."""
    tls: TlsFiles = TlsFiles()

    def __repr__(self) -> str:
        return f"KafkaConnection({self.bootstrap_servers!r}, {self.security_protocol})"

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments common to aiokafka's producer, consumer and admin client.

        Raises:
            ConfigurationError: Something is missing or unknown, or a file cannot be used.
        """
        self._check()
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol in ("SSL", "SASL_SSL"):
            options["ssl_context"] = tls_context(self.tls)
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            if self.tokens is not None:
                options["sasl_oauth_token_provider"] = AiokafkaTokens(self.tokens)
            else:
                options["sasl_plain_username"] = self.sasl_username
                options["sasl_plain_password"] = self.sasl_password
        return options

    def librdkafka_options(self) -> dict[str, Any]:
        """Return the same for clients of librdkafka. ConfigurationError."""
        self._check()
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol.lower(),
            "reconnect.backoff.max.ms": RECONNECT_MS_MAX,
        }
        if self.security_protocol in ("SSL", "SASL_SSL"):
            options |= librdkafka_tls(self.tls)
        if self.security_protocol.startswith("SASL"):
            options["sasl.mechanism"] = self.sasl_mechanism
            if (tokens := self.tokens) is not None:

                def token(_config: str) -> tuple[str, float]:
                    found = tokens.token()
                    return found.text, found.expires_s

                options["oauth_cb"] = token
            else:
                options["sasl.username"] = self.sasl_username
                options["sasl.password"] = self.sasl_password
        return options

    def _check(self) -> None:
        """Raise ConfigurationError if something is missing or unknown."""
        protocol, mechanism = self.security_protocol, self.sasl_mechanism
        if protocol not in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"):
            raise ConfigurationError(
                f"security protocol {protocol!r} is not one of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"
            )
        if not protocol.startswith("SASL"):
            return
        if mechanism not in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"):
            raise ConfigurationError(
                f"SASL mechanism {mechanism!r} is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER"
            )
        if mechanism == "OAUTHBEARER":
            if self.tokens is None:
                raise ConfigurationError(
                    "OAUTHBEARER needs HOTSWAP_KAFKA_OAUTH_TOKEN_FILE, or HOTSWAP_KAFKA_OAUTH_TOKEN_URL with "
                    "HOTSWAP_KAFKA_OAUTH_CLIENT_ID and HOTSWAP_KAFKA_OAUTH_CLIENT_SECRET"
                )
        elif not self.sasl_username or not self.sasl_password:
            raise ConfigurationError(
                f"{protocol} needs a SASL user name and password: set HOTSWAP_KAFKA_SASL_USERNAME and "
                "HOTSWAP_KAFKA_SASL_PASSWORD, or HOTSWAP_KAFKA_SASL_PASSWORD_FILE"
            )
