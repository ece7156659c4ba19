"""How often one client may be wrong about a key when it signs in; whoever is right is never counted."""

from collections import OrderedDict

WRONG_PER_MINUTE_MAX = 10
CLIENTS_MAX = 10_000
"""Clients remembered that were wrong lately; beyond that, those that were wrong longest ago are forgotten."""

_WINDOW_S = 60.0


class WrongAttempts:
    """Counts them by client, over a minute from the first one on."""

    def __init__(self, per_minute_max: int = WRONG_PER_MINUTE_MAX, clients_max: int = CLIENTS_MAX) -> None:
        self._per_minute_max = per_minute_max
        self._clients_max = clients_max
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Client → when the minute began, and how many there were since."""

    def __len__(self) -> int:
        return len(self._counts)

    def wait_s(self, client: str, now_s: float) -> float:
        """Return how long the client must wait before it may try again; 0 if not at all.

        Args:
            client: A key's name or an address.
            now_s: On a clock that never goes back.
        """
        began_s, count = self._counts.get(client, (now_s, 0))
        left_s = began_s + _WINDOW_S - now_s
        return left_s if left_s > 0 and count >= self._per_minute_max else 0.0

    def count(self, client: str, now_s: float) -> None:
        """Count one more."""
        began_s, count = self._counts.pop(client, (now_s, 0))
        if now_s - began_s >= _WINDOW_S:
            began_s, count = now_s, 0
        self._counts[client] = (began_s, count + 1)
        if len(self._counts) > self._clients_max:
            self._counts.popitem(last=False)
