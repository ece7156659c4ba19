"""What a Kafka client needs to know of the cluster, without knowing who says it."""

from typing import Protocol


class KafkaAccess(Protocol):
    """Bootstrap servers and security; `KafkaConnection` is one."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several separated by commas."""
        ...

    @property
    def security_protocol(self) -> str:
        """`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`."""
        ...

    @property
    def sasl_mechanism(self) -> str:
        """`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; used by the two SASL protocols."""
        ...

    @property
    def sasl_username(self) -> str | None:
        """User name for SASL."""
        ...

    @property
    def sasl_password(self) -> str | None:
        """Password for SASL."""
        ...

    @property
    def ssl_ca_file(self) -> str | None:
        """PEM file of the authorities trusted for TLS; None trusts those of the system."""
        ...
