"""Which arm of a rollout answers a request: a pure function of routing key, salt and weights.

Every worker, every client and every language finds the same arm, without asking anybody:

    point = the first 4 bytes of SHA-256(salt ":" key), as a big-endian integer
    slot  = floor(point × 10,000 / 2³²)
    arm   = the arm whose interval of slots holds it

The salt is the rollout's: users who were in one rollout are no likelier than others to be in the next. Why SHA-256: all
standard libraries have it, and its bits are independent of each other. A CRC is ten times faster, but it is linear: two
salts give the same groups, shifted.

Arm 0 is the baseline and takes what the others, the challengers, leave. With k challengers each has room for 1/k of the
slots, and its interval begins where its room begins; so

- a challenger whose weight rises keeps every user it had, and takes new ones from the baseline alone,
- and the users of the other challengers stay where they are,

as long as no challenger's weight is above its room. With one challenger it never is. If one is, the intervals lie one
after the other from slot 0: the first challenger still keeps all its users, the others may exchange some.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct as Packing

WEIGHT_TOTAL = 10_000
"""Weights are in hundredths of a percent: 500 is 5 %."""

ARMS_MAX = 16

_first_integer = Packing(">I28x").unpack


def wrong_weights(weights: Sequence[int]) -> str | None:
    """Return why these cannot be the weights of a rollout's arms, the baseline's first, or None."""
    if not 1 <= len(weights) <= ARMS_MAX:
        return f"{len(weights)} arms; 1 to {ARMS_MAX} are allowed"
    for arm, weight in enumerate(weights):
        if not 0 <= weight <= WEIGHT_TOTAL:
            return f"weight {weight} of arm {arm} is not valid: 0 to {WEIGHT_TOTAL}, in hundredths of a percent"
    if sum(weights) != WEIGHT_TOTAL:
        return f"the weights {list(weights)} add up to {sum(weights)}; {WEIGHT_TOTAL} is needed"
    return None


def weights_of(*challengers: int) -> tuple[int, ...]:
    """Return the weights of all arms: the baseline takes what the challengers leave.

    Raises:
        ValueError: The challengers take too much.
    """
    weights = (WEIGHT_TOTAL - sum(challengers), *challengers)
    wrong = wrong_weights(weights)
    if wrong:
        raise ValueError(wrong)
    return weights


def intervals_of(weights: Sequence[int]) -> list[tuple[int, int]]:
    """Return each challenger's slots, from (included) and to (excluded); all other slots are the baseline's."""
    challengers = weights[1:]
    room = WEIGHT_TOTAL // max(1, len(challengers))
    crowded = any(weight > room for weight in challengers)
    intervals: list[tuple[int, int]] = []
    next_free = 0
    for number, weight in enumerate(challengers):
        start = next_free if crowded else number * room
        intervals.append((start, start + weight))
        next_free += weight
    return intervals


@lru_cache(maxsize=512)
def _arm_of_slot(weights: tuple[int, ...]) -> bytes:
    wrong = wrong_weights(weights)
    if wrong:
        raise ValueError(wrong)
    arms = bytearray(WEIGHT_TOTAL)
    for arm, (start, end) in enumerate(intervals_of(weights), start=1):
        arms[start:end] = bytes((arm,)) * (end - start)
    return bytes(arms)


def slot_of(key: bytes, salt: str) -> int:
    """Return the slot of a routing key in a rollout with this salt, 0 to 9,999."""
    return int(_first_integer(sha256(b"%b:%b" % (salt.encode(), key)).digest())[0]) * WEIGHT_TOTAL >> 32


def arm_of(key: bytes, salt: str, weights: tuple[int, ...]) -> int:
    """Return the index in `weights` of the arm that answers; 0 is the baseline.

    Raises:
        ValueError: These cannot be weights.
    """
    return _arm_of_slot(weights)[slot_of(key, salt)]


def arms_of(keys: Iterable[bytes], salt: str, weights: tuple[int, ...]) -> list[int]:
    """Return `arm_of` for each of the keys, in order: the salt is encoded and the weights are looked up once."""
    arms = _arm_of_slot(weights)
    prefix = salt.encode() + b":"
    return [arms[_first_integer(sha256(prefix + key).digest())[0] * WEIGHT_TOTAL >> 32] for key in keys]


def routing_key_of(key: bytes | None, request_id: str | None, partition: int, offset: int) -> bytes:
    """Return what a request is routed by: its own key, else its id, else its place in the topic.

    An empty key or id counts as absent. Without a key nothing is sticky: two requests of a user may meet two arms.
    """
    if key:
        return key
    if request_id:
        return request_id.encode()
    return b"%d:%d" % (partition, offset)
