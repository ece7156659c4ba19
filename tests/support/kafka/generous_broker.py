"""A broker as Kafka's defaults make it: it creates every topic that somebody asks about, with its own settings, which
here keep little and look often."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from hotswap_stream.broker import EmbeddedKafka

RETENTION_BYTES = 1_048_576
OPTIONS = {
    "auto.create.topics.enable": "true",
    "num.partitions": "1",
    "log.retention.bytes": str(RETENTION_BYTES),
    "log.segment.bytes": str(RETENTION_BYTES),
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    # With early access lists, for tests that may not see something.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@contextmanager
def generous_broker() -> Iterator[str]:
    """Its bootstrap servers."""
    broker = EmbeddedKafka(kafka_options=OPTIONS)
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, broker.start()).result()
        try:
            yield broker.bootstrap_servers
        finally:
            thread.submit(asyncio.run, broker.stop()).result()
