"""Ids of the latest requests of each partition, so that one that was written twice is answered once."""

from collections.abc import Collection


class RequestIds:
    """Remember at least the last `window` ids of each partition, at most twice as many; 0 remembers none.

    Kept in memory: a request and its copy on both sides of a restart or a rebalance are not told apart.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._generations: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
        """Partition → id → offset, of the latest ids and of those before them."""

    def remember(self, partition: int, offset: int, request_id: str) -> int | None:
        """Remember the id of a request, unless an earlier one has it: then return the offset of that one."""
        if not self._window:
            return None
        generations = self._generations.get(partition)
        if generations is None:
            generations = self._generations[partition] = ({}, {})
        newer, older = generations
        earlier = newer.get(request_id)
        if earlier is None:
            earlier = older.get(request_id)
        if earlier is not None and earlier < offset:
            return earlier
        newer[request_id] = offset
        if len(newer) >= self._window:
            self._generations[partition] = ({}, newer)
        return None

    def forget(self, partitions: Collection[int] | None = None) -> None:
        """Forget the ids of partitions, or all: somebody else has them."""
        for partition in list(self._generations) if partitions is None else partitions:
            self._generations.pop(partition, None)
