"""Which records of the registry log count, for whoever reads the records themselves."""

from array import array
from bisect import bisect_left

from hotswap_stream.application.registry.fold import Void
from hotswap_stream.application.registry.follower import RegistryFollower
from hotswap_stream.application.registry.tail import TailEntry


class AppliedRecords:
    """Remembers the void records of a log: eight bytes each, and there are few. Make it before the registry starts."""

    def __init__(self, registry: RegistryFollower) -> None:
        if registry.fold.next_offset:
            raise ValueError("the registry has folded records already: make this before it is started")
        self._registry = registry
        self._voids = array("q")
        registry.listen(self._note)

    async def counts(self, offset: int) -> bool:
        """Return whether the record at this offset of the log counts, once the registry has read it.

        Raises:
            LogUnavailableError: The registry does not get there, or is not started.
        """
        await self._registry.wait_for_offset(offset + 1)
        position = bisect_left(self._voids, offset)
        return position == len(self._voids) or self._voids[position] != offset

    def _note(self, entry: TailEntry) -> None:
        if isinstance(entry.outcome, Void):
            self._voids.append(entry.record.offset)
