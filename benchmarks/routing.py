"""Routing a million keys: shares, who stays when a share is raised, and the price of a decision next to its bare hash.

python -m benchmarks.routing [KEYS]
"""

import json
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from statistics import median

from hotswap_stream.domain.rollouts.routing import WEIGHT_TOTAL, arms_of, weights_of

SALT = "rollout-2026-01"
BATCH = 500
"""Keys of one call, as many as a worker's batch has requests at most."""
ROUNDS = 5


def run(key_count: int = 1_000_000) -> list[dict[str, object]]:
    """Return shares in points; times are medians of rounds in which ours and the bare hash take turns."""
    keys = [b"user-%d" % number for number in range(key_count)]
    arms = {weight: arms_of(keys, SALT, weights_of(weight)) for weight in (500, 1_000, 2_500, 5_000)}
    off = {
        f"{weight / 100:g} %": abs(sum(each) / key_count - weight / WEIGHT_TOTAL) * 100 for weight, each in arms.items()
    }
    three = arms_of(keys, SALT, weights_of(2_000, 3_000))
    off["20 % and 30 %"] = max(
        abs(three.count(arm) / key_count - share) * 100 for arm, share in ((0, 0.5), (1, 0.2), (2, 0.3))
    )
    kept = sum(old == new == 1 for old, new in zip(arms[1_000], arms[2_500], strict=True))
    had = sum(arms[1_000])
    batches = [keys[start : start + BATCH] for start in range(0, key_count, BATCH)]
    ours: list[float] = []
    bare: list[float] = []
    for _round in range(ROUNDS):
        ours.append(_seconds(batches, lambda batch: arms_of(batch, SALT, weights_of(1_000))))
        bare.append(_seconds(batches, lambda batch: [sha256(key).digest() for key in batch]))
    ratio = median(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
    return [
        {
            "name": "routing_share",
            "ours": round(max(off.values()), 4),
            "compared_with": "the weights, the furthest of five layouts",
            "comparison": 0,
            "unit": "points off",
            "ratio": None,
            "aim": "<= 0.1",
            "holds": max(off.values()) <= 0.1,
            "keys": key_count,
            "points_off": {name: round(points, 4) for name, points in off.items()},
        },
        {
            "name": "routing_kept",
            "ours": kept,
            "compared_with": "users who were in at 10 %",
            "comparison": had,
            "unit": "users in at 25 %",
            "ratio": kept / had,
            "aim": "== 1",
            "holds": kept == had,
        },
        {
            "name": "routing_decision",
            "ours": round(median(ours) / key_count * 1e9),
            "compared_with": "SHA-256 of the key alone",
            "comparison": round(median(bare) / key_count * 1e9),
            "unit": "ns",
            "ratio": round(ratio, 2),
            "aim": "<= 3",
            "holds": ratio <= 3,
        },
    ]


def _seconds(batches: list[list[bytes]], work: Callable[[list[bytes]], object]) -> float:
    began = time.perf_counter()
    for batch in batches:
        work(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000), indent=2))
