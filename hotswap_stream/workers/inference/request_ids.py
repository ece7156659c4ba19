"""Ids of the latest requests of each partition, so that one that was written twice is answered once."""

from collections import deque


class RequestIds:
    """Remembers the last `window` ids of each partition; 0 remembers none.

    Kept in memory: a request and its copy on both sides of a restart or a rebalance are not told apart.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._offsets: dict[int, dict[str, int]] = {}
        self._order: dict[int, deque[str]] = {}

    def first_offset(self, partition: int, offset: int, request_id: str) -> int | None:
        """The offset of an earlier request with this id, if there is one; else the id is remembered."""
        if not self._window:
            return None
        offsets = self._offsets.setdefault(partition, {})
        earlier = offsets.setdefault(request_id, offset)
        if earlier < offset:
            return earlier
        if earlier > offset:
            # Positions went back: from here on the requests come again.
            offsets[request_id] = offset
            return None
        order = self._order.setdefault(partition, deque())
        order.append(request_id)
        if len(order) > self._window:
            offsets.pop(order.popleft(), None)
        return None

    def forget(self) -> None:
        """Another assignment begins."""
        self._offsets.clear()
        self._order.clear()
