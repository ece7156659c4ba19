"""How often one key may ask: a bucket of tokens for each, which fills at a steady pace and holds a second's worth."""


class Pace:
    """`per_second_max` None: as often as it likes."""

    def __init__(self, per_second_max: float | None) -> None:
        self._per_second = per_second_max
        self._bucket = 0.0 if per_second_max is None else max(1.0, per_second_max)
        self._left: dict[str, tuple[float, float]] = {}
        """Name → tokens, and when they were counted. There are no more names than keys."""

    @property
    def burst(self) -> int:
        """Return how many requests may come at once."""
        return int(self._bucket)

    @property
    def window_s(self) -> float:
        """Return how long it takes until that number may come again."""
        return 0.0 if self._per_second is None else self._bucket / self._per_second

    def wait_s(self, name: str, now_s: float) -> float:
        """Take a token and return 0, or return how long to wait for the next one.

        Args:
            name: Of the key.
            now_s: On a clock that never goes back.
        """
        if self._per_second is None:
            return 0.0
        tokens, counted_s = self._left.get(name, (self._bucket, now_s))
        tokens = min(self._bucket, tokens + (now_s - counted_s) * self._per_second)
        if tokens < 1:
            self._left[name] = (tokens, now_s)
            return (1 - tokens) / self._per_second
        self._left[name] = (tokens - 1, now_s)
        return 0.0
