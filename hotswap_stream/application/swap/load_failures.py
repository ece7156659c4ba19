"""When a promoted version that does not load in one worker is rolled back for the whole fleet.

It is when every worker that lives has tried and failed, for long enough that everybody who lives has spoken; or when
the worker has waited for the others for too long. While nobody can be heard, nothing follows from anybody's silence.
"""

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS, LoadState
from hotswap_stream.application.inference.fleet import FleetWorker

FLEET_SETTLED_SECONDS = 2 * HEARTBEAT_SECONDS
"""How long all others must have failed: in that time everybody who lives has spoken."""
FLEET_LOAD_SECONDS_MAX = 120.0
"""How long a worker that cannot load a promoted version waits for the others to try."""

LOADS: tuple[LoadState, ...] = ("loaded", "serving")
"""The states in which it is known that a version can be loaded."""

Verdict: TypeAlias = Literal["loads-elsewhere", "loads-nowhere"]


class Waited(Struct, frozen=True):
    """How long a worker has waited for the others to try."""

    known_s: float = 0.0
    """Seconds in which it was known what the others say."""
    failed_s: float = 0.0
    """Seconds in which, up to now, all of them had failed."""


def tried_by(
    others: Sequence[FleetWorker], fallen: Collection[str], model_version: str, offset: int
) -> list[LoadState | None]:
    """Return what came of a version in those workers that it depends on.

    Who was heard a while ago and seems to be dead by now, as one that was killed while it tried, is waited for by
    nobody: one worker that cannot answer would keep all that start from it. What it could load before counts on.

    Args:
        others: The other live workers of the model.
        fallen: Those of them that seem to be dead.
        model_version: The version.
        offset: The registry offset of its promotion.
    """
    states: list[LoadState | None] = []
    for other in others:
        version = None if other.registry_offset < offset else other.versions.get(model_version)
        state = None if version is None else version.state
        if state in LOADS or other.worker not in fallen:
            states.append(state)
    return states


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
    if any(state in LOADS for state in others):
        return "loads-elsewhere"
    all_failed = all(state == "failed" for state in others)
    now = Waited(waited.known_s + seconds, waited.failed_s + seconds if all_failed else 0.0)
    if now.failed_s >= FLEET_SETTLED_SECONDS or now.known_s >= FLEET_LOAD_SECONDS_MAX:
        return "loads-nowhere"
    return now
