"""What is asked of librdkafka's clients and their errors."""

import pytest
from confluent_kafka import KafkaError

from hotswap_stream.kafka.librdkafka import is_fatal


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (KafkaError(KafkaError._FATAL, "fenced"), True),
        (KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True), True),
        (KafkaError(KafkaError._TRANSPORT, "no broker"), False),
    ],
)
def test_an_error_that_ends_its_client_is_known(error: KafkaError, fatal: bool) -> None:
    """The callback of a consumer hears of its end by an error that calls itself no fatal one."""
    assert is_fatal(error) is fatal
