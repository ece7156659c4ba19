"""The port to where keys are kept."""

from typing import Protocol

from hotswap_stream.application.keys.records import KeyRecord
from hotswap_stream.application.keys.table import KeyTable


class KeyLog(Protocol):
    """All keys as they are now, and the way to change them."""

    @property
    def table(self) -> KeyTable:
        """Return what is known of the keys here."""
        ...

    async def append(self, record: KeyRecord) -> None:
        """Write a record, and return once it counts here.

        Raises:
            LogUnavailableError: That cannot be known in time.
        """
        ...
