"""What a Kafka client needs to know of the cluster, without knowing who says it."""

from typing import Any, Protocol


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

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments of aiokafka's clients. ConfigurationError."""
        ...
