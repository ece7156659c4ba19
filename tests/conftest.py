"""Fixtures every test may use. The broker is a real Apache Kafka: when it cannot start, tests fail, they never skip."""

import asyncio
import os
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from hotswap_stream.broker import EmbeddedKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of the one single-node broker all tests of a process share; use `topic_prefix` to keep apart.

    Set HOTSWAP_TEST_KAFKA_BOOTSTRAP_SERVERS to run the tests against a cluster of yours instead.
    """
    configured = os.environ.get("HOTSWAP_TEST_KAFKA_BOOTSTRAP_SERVERS")
    if configured:
        yield configured
        return
    broker = EmbeddedKafka()
    # A thread of its own: pytest-asyncio owns this thread's event loop, and sync tests use the fixture too.
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, broker.start()).result()
        try:
            yield broker.bootstrap_servers
        finally:
            thread.submit(asyncio.run, broker.stop()).result()


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A name no other test has, legal in topic and group names, at most 60 characters."""
    readable = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-").lower()[:40]
    return f"{readable}-{uuid.uuid4().hex[:12]}"
