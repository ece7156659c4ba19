"""Histograms of milliseconds that add up, whoever counted: logarithmic buckets, 9 % wide. Pure.

Bucket b holds values above 2^((b−1)/8) and up to 2^(b/8) ms, as in `LatencyCounts` of the observations.
"""

from collections.abc import Mapping
from math import ceil, log2

BUCKETS_PER_DOUBLING = 8
LOWEST = -80
"""Up to about a microsecond."""
HIGHEST = 160
"""About seventeen minutes, and everything above."""
_LEAST_MS = 2.0 ** (LOWEST / BUCKETS_PER_DOUBLING)


def bucket_of(ms: float) -> int:
    """Return the bucket in which a value is counted. What is not above 0 is in the lowest one."""
    if ms <= _LEAST_MS:
        return LOWEST
    return min(HIGHEST, ceil(log2(ms) * BUCKETS_PER_DOUBLING))


def upper_ms(bucket: int) -> float:
    """Return the largest value in a bucket; of the highest one, where it begins to hold everything above."""
    return float(2.0 ** (bucket / BUCKETS_PER_DOUBLING))


def merged(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """Return the counts of both together."""
    return {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in sorted({*one, *other})}


def quantile_ms(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the least bucket end that this share of the values does not exceed, in ms; at most 9 % too high.

    None without values.

    Raises:
        ValueError: `share` is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; 0.95 is the 95th percentile, and 0 to 1 are possible")
    total = sum(buckets.values())
    if not total:
        return None
    wanted, seen = max(1, ceil(share * total)), 0
    for bucket in sorted(buckets):  # pragma: no branch
        seen += buckets[bucket]
        if seen >= wanted:
            return upper_ms(bucket)
    return None  # pragma: no cover  (the last bucket reaches every share)


def count_up_to(buckets: Mapping[int, int], ms: float) -> int:
    """Return how many values are in buckets that end at `ms` or below: those just below it may be missing."""
    return sum(count for bucket, count in buckets.items() if upper_ms(bucket) <= ms)
