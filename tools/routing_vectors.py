"""Test vectors of the routing, for people who write it in another language: `schemas/routing-vectors.json`."""

import json

from hotswap_stream.domain.rollouts.routing import WEIGHT_TOTAL, arm_of, intervals_of, slot_of, weights_of

_KEYS = ("", "user-1", "user-2", "42", "Ünïcödé 🚀", "a:b", "x" * 200, "\x00", "0:0", "3:1048576")
_SALTS = ("rollout-1", "rollout-2", "", "prüfung:1")
_WEIGHTS = (
    weights_of(),
    weights_of(500),
    weights_of(2_500),
    weights_of(WEIGHT_TOTAL),
    weights_of(5_000, 1_000),
    weights_of(6_000, 1_000),
    weights_of(3_333, 0, 3_333),
)


def routing_vectors() -> str:
    """Return all combinations of some keys, salts and weights, as JSON text."""
    vectors = {
        "description": "slot = floor(first 4 bytes of SHA-256(UTF-8 of salt ':' key), big-endian, x 10000 / 2^32); "
        "arms[i] of a vector is the arm under layouts[i]: an index of its weights",
        "layouts": [{"weights": weights, "intervals": intervals_of(weights)} for weights in _WEIGHTS],
        "vectors": [
            {
                "key": key,
                "salt": salt,
                "slot": slot_of(key.encode(), salt),
                "arms": [arm_of(key.encode(), salt, weights) for weights in _WEIGHTS],
            }
            for salt in _SALTS
            for key in _KEYS
        ],
    }
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"
