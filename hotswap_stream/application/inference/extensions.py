"""Parameters of extensions of the Open Inference Protocol that would be passed over in silence: they are refused."""

from collections.abc import Mapping
from typing import Any

from hotswap_events.headers import ROUTING_KEY

_SERIES = (
    f"names no series here: the key of the record does on the topic, and by HTTP the header {ROUTING_KEY}; leave it out"
)
_REFUSED: dict[str, str] = {
    "classification": "is not done here: every output is answered whole, so take its highest scores yourself and leave "
    "it out",
    "sequence_id": _SERIES,
    "sequence_start": "starts no series here: a series is its key, and its window fills with its requests; leave "
    "it out",
    "sequence_end": "ends no series here: a series is its key, and its window stays until others need the room; leave "
    "it out",
}


def refused_parameter(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of a request or of an output that is asked for, or None.

    A value that asks for nothing, such as `sequence_id` 0, passes.
    """
    for name, why in _REFUSED.items():
        if parameters.get(name):
            return f"parameter {name!r} {why}"
    return None
