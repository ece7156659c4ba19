"""When a promoted version that does not load in one worker is rolled back for the whole fleet.

It is when every worker that lives has tried and failed, for long enough that everybody who lives has spoken; or when
the worker has waited for the others for too long. While nobody can be heard, nothing follows from anybody's silence.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS, LoadState

FLEET_SETTLED_SECONDS = 2 * HEARTBEAT_SECONDS
"""How long all others must have failed: in that time everybody who lives has spoken."""
FLEET_LOAD_SECONDS_MAX = 120.0
"""How long a worker that cannot load a promoted version waits for the others to try."""

Verdict: TypeAlias = Literal["loads-elsewhere", "loads-nowhere"]


class Waited(Struct, frozen=True):
    """How long a worker has waited for the others to try."""

    known_s: float = 0.0
    """Seconds in which it was known what the others say."""
    failed_s: float = 0.0
    """Seconds in which, up to now, all of them had failed."""


def wait_on(waited: Waited, others: Sequence[LoadState | None] | None, seconds: float) -> Waited | Verdict:
    """Take in what the other workers say now of the version.

    Args:
        waited: How long it took so far.
        others: The state of the version in each other live worker; None for one that has not read the promotion yet,
            or says nothing of the version. None as a whole: what the others say is not known.
        seconds: How much time has passed since the last call.

    Returns:
        A verdict, or how long it took so far: then ask again.
    """
    if others is None:
        return Waited(waited.known_s)
    if any(state in ("loaded", "serving") for state in others):
        return "loads-elsewhere"
    all_failed = all(state == "failed" for state in others)
    now = Waited(waited.known_s + seconds, waited.failed_s + seconds if all_failed else 0.0)
    if now.failed_s >= FLEET_SETTLED_SECONDS or now.known_s >= FLEET_LOAD_SECONDS_MAX:
        return "loads-nowhere"
    return now
