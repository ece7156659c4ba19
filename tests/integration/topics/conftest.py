"""A cluster as Kafka's defaults make it, for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.support.kafka.generous_broker import generous_broker


@pytest.fixture(scope="package")
def generous() -> Iterator[str]:
    """Its bootstrap servers."""
    with generous_broker() as servers:
        yield servers
