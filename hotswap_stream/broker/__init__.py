"""A real Apache Kafka (KRaft) from pip: no Java, no Maven, no container engine on the machine."""

from hotswap_stream.broker.embedded import EmbeddedKafka
from hotswap_stream.broker.errors import (
    BrokerError,
    BrokerLostError,
    BrokerStartError,
    BrokerUnavailableError,
    DataFolderError,
    DiskFullError,
    JarDownloadError,
    PortTakenError,
)
from hotswap_stream.broker.jars.lock import KAFKA_RELEASE
from hotswap_stream.broker.keeper import BrokerKeeper
from hotswap_stream.broker.node import KafkaNode
from hotswap_stream.broker.progress import BrokerProgress

__all__ = [
    "KAFKA_RELEASE",
    "BrokerError",
    "BrokerKeeper",
    "BrokerLostError",
    "BrokerProgress",
    "BrokerStartError",
    "BrokerUnavailableError",
    "DataFolderError",
    "DiskFullError",
    "EmbeddedKafka",
    "JarDownloadError",
    "KafkaNode",
    "PortTakenError",
]
