"""What a life's consumer says of itself: what it heals alone, and what ends the life."""

import structlog
from confluent_kafka import KafkaError, KafkaException

from hotswap_stream.kafka.librdkafka import is_fatal

_log = structlog.get_logger(__name__)


class ConsumerHealth:
    """Keep the error after which a consumer is of no use any more."""

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name
        self._failed: KafkaError | None = None

    @property
    def failed(self) -> bool:
        """Whether another consumer is needed."""
        return self._failed is not None

    def notice(self, error: KafkaError) -> None:
        """Take in what the consumer reports; a fatal error ends it."""
        if is_fatal(error):
            _log.error("consumer_failed", model_name=self._model_name, error=str(error))
            self._failed = error
        else:
            _log.warning("consumer_error", model_name=self._model_name, error=str(error))

    def check(self) -> None:
        """Raise KafkaException when the consumer has failed."""
        if self._failed is not None:
            raise KafkaException(self._failed)
