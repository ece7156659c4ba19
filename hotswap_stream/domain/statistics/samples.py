"""What the tests take in: counts and sums, never single observations. They add up, whoever counted them."""

from msgspec import Struct


class Counts(Struct, frozen=True):
    """How many of `trials` were a success. ValueError unless 0 ≤ successes ≤ trials."""

    successes: int = 0
    trials: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials:
            raise ValueError(f"{self.successes} successes in {self.trials} trials; 0 to {self.trials} are possible")

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.successes + other.successes, self.trials + other.trials)

    @property
    def failures(self) -> int:
        """Trials that were no success."""
        return self.trials - self.successes

    @property
    def rate(self) -> float:
        """0 where nothing was tried."""
        return self.successes / self.trials if self.trials else 0.0


class Moments(Struct, frozen=True):
    """Count, sum and sum of squares of values. ValueError when no values can have them.

    `origin` is subtracted from each value before it is summed. Where values lie far from 0 compared with their spread,
    an origin near their mean keeps the variance exact; samples that are added must share it.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    origin: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 0 or self.squares < 0 or (self.count == 0 and (self.total or self.squares)):
            raise ValueError(f"count {self.count}, sum {self.total} and sum of squares {self.squares} of no values")
        if self.total**2 > self.count * self.squares * (1 + 1e-9):
            raise ValueError(f"a sum of squares of {self.squares} is too small for {self.count} values of {self.total}")

    def __add__(self, other: "Moments") -> "Moments":
        if other.count and self.count and other.origin != self.origin:
            raise ValueError(f"origins {self.origin} and {other.origin} differ; samples that are added must share one")
        origin = self.origin if self.count else other.origin
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares, origin)

    @property
    def mean(self) -> float:
        """The origin where there are no values."""
        return self.origin + (self.total / self.count if self.count else 0.0)

    @property
    def variance(self) -> float:
        """The sample's variance, with count − 1; 0 below two values."""
        if self.count < 2:
            return 0.0
        return max(0.0, self.squares - self.total**2 / self.count) / (self.count - 1)


def cautious_variance(successes: float, trials: int) -> float:
    """Return the variance of a success as if one success and one failure more had been seen.

    A rate of 1 so far is no proof that nothing varies.
    """
    rate = (successes + 1) / (trials + 2)
    return rate * (1 - rate)
