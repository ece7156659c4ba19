"""Settings of TLS between the API and its callers, for both sides. Part of `Settings`."""

from hotswap_stream.kafka_settings import KafkaSettings


class ApiTlsSettings(KafkaSettings, frozen=True, kw_only=True):
    """Files of certificates and a key, as PEM. Structs have one base each, so that of Kafka is this one's."""

    api_tls_certificate_file: str | None = None
    """The API's certificate, as PEM, with those it is signed by: then it speaks HTTPS, TLS 1.2 or newer, and nothing
    else. Renewed files are taken within seconds, without a restart."""
    api_tls_key_file: str | None = None
    """The private key of that certificate."""
    api_tls_key_password: str | None = None
    """What that key is encrypted with, if it is."""
    api_ca_file: str | None = None
    """For commands and Python clients: certificates, as PEM, that the API's must be signed by. Unset: the system's."""


API_TLS_SECRETS = frozenset({"api_tls_key_password"})
