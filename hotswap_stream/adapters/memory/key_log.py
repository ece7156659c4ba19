"""Keys in memory: for the tests, held to the same contract as those on the topic."""

import msgspec

from hotswap_stream.application.keys.records import KeyRecord, record_key_of
from hotswap_stream.application.keys.table import KeyTable


class MemoryKeyLog:
    """A KeyLog whose table all its users share."""

    def __init__(self) -> None:
        self.table = KeyTable()

    async def read(self) -> None:
        """See KafkaKeyLog: they are read."""

    async def append(self, record: KeyRecord) -> None:
        """See KeyLog."""
        self.table.apply(record_key_of(record), msgspec.json.encode(record))
