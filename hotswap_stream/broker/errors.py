"""What can go wrong with the embedded broker, each with what to do about it."""

from typing import ClassVar

from hotswap_stream.errors import HotswapError


class BrokerError(HotswapError):
    """Base of every error of the embedded broker."""


class BrokerUnavailableError(BrokerError):
    """This machine cannot run the embedded broker: the `broker` extra is missing or the system is not supported."""


class JarDownloadError(BrokerError):
    """Kafka's jars are not in the cache and could not be downloaded."""

    retriable: ClassVar[bool] = True


class PortTakenError(BrokerError):
    """A port that was asked for belongs to another process."""


class DiskFullError(BrokerError):
    """The disk has too little free space for the broker, or ran full under it."""


class BrokerLostError(BrokerError):
    """The broker ended and could not be kept running; the message says how it ended the last time."""


class DataFolderError(BrokerError):
    """The data folder is in use by another broker, or was made for a cluster of another shape."""


class BrokerStartError(BrokerError):
    """The broker's process ended, or did not answer before its deadline. `log_tail` holds its last log lines."""

    retriable: ClassVar[bool] = True

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(f"{message}\n--- last lines of its log ---\n{log_tail}" if log_tail else message)
        self.log_tail = log_tail
