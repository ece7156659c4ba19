"""Settings of the way to Kafka: where it is, who we are there, and whom we trust. Part of `Settings`."""

from typing import Literal

from msgspec import Struct

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """The same for every process and for both client libraries."""

    kafka_bootstrap_servers: str | None = None
    """The cluster to use. Unset: commands use, or start, the embedded broker."""
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    """`SSL`: TLS; a certificate of ours says who we are, if there is one. `SASL_SSL`: TLS, and a password or token."""
    kafka_sasl_mechanism: SaslMechanism = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_ca_file: str | None = None
    """Certificates, as PEM, that the brokers' must be signed by. Unset: those that the system trusts."""
    kafka_ssl_certificate_file: str | None = None
    """Our own certificate, as PEM, with those it is signed by; for clusters that ask for one (mutual TLS)."""
    kafka_ssl_key_file: str | None = None
    """The private key of that certificate, as PEM."""
    kafka_ssl_key_password: str | None = None
    """What that key is encrypted with, if it is."""
    kafka_oauth_token_url: str | None = None
    """Where tokens for `OAUTHBEARER` are asked for with our id and secret (OAuth 2.0 client credentials); `https`,
    or `http` on this machine."""
    kafka_oauth_client_id: str | None = None
    kafka_oauth_client_secret: str | None = None
    kafka_oauth_scope: str | None = None
    """What those tokens are good for, as the server of tokens calls it."""
    kafka_oauth_ca_file: str | None = None
    """Certificates, as PEM, that the certificate of the server of tokens must be signed by. Unset: the system's."""
    kafka_oauth_token_file: str | None = None
    """Instead of asking: a file with a token that something else keeps valid, such as Kubernetes. It is read anew
    before each use."""


KAFKA_SECRETS = frozenset({"kafka_sasl_password", "kafka_ssl_key_password", "kafka_oauth_client_secret"})
