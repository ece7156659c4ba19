"""How to reach the cluster: one value that every Kafka client of this package is built from."""

import ssl
from typing import Any, Literal

from msgspec import Struct

import hotswap_stream.kafka.total_records  # noqa: F401 - whoever connects reads what others wrote, whatever it is


class KafkaConnection(Struct, frozen=True, kw_only=True):
    """Bootstrap servers and security. `repr` leaves the password out."""

    bootstrap_servers: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_ca_file: str | None = None

    def __repr__(self) -> str:
        return f"KafkaConnection({self.bootstrap_servers!r}, {self.security_protocol})"

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments common to aiokafka's producer, consumer and admin client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol in ("SSL", "SASL_SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ssl_ca_file)
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password
        return options

    def librdkafka_options(self) -> dict[str, Any]:
        """Return the same for clients of librdkafka."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol.lower(),
        }
        if self.security_protocol in ("SSL", "SASL_SSL") and self.ssl_ca_file is not None:
            options["ssl.ca.location"] = self.ssl_ca_file
        if self.security_protocol.startswith("SASL"):
            options["sasl.mechanism"] = self.sasl_mechanism
            options["sasl.username"] = self.sasl_username
            options["sasl.password"] = self.sasl_password
        return options
