"""The part of an observation that says how a version does, without what is said of its inputs and outputs.

Those who follow the observations of every model read a thousand a second and more; sketches are not decoded for that.
"""

import msgspec
from msgspec import Struct

from hotswap_events.bounds import Count, Name
from hotswap_events.command import ModelName, ModelVersion
from hotswap_events.inference.messages import ErrorCode
from hotswap_events.inference.observation import LatencyCounts, Observation, ObservationRole, PassRows
from hotswap_events.nesting import nests_too_deep

RECORD_BYTES_MAX = 1_048_576


class AnswerFigures(Struct, frozen=True, kw_only=True, gc=False):
    """See the fields of the same names of `Observation`."""

    worker_run: Name
    sequence: Count
    model_name: ModelName
    role: ObservationRole
    model_version: ModelVersion | None = None
    answers: Count = 0
    errors: dict[ErrorCode, Count] = {}
    compute: LatencyCounts = LatencyCounts()
    total: LatencyCounts = LatencyCounts()
    queue: LatencyCounts = LatencyCounts()
    rows: Count = 0
    pass_rows: PassRows = {}


_decoder = msgspec.json.Decoder(AnswerFigures)


def read_figures(value: bytes | None) -> AnswerFigures | None:
    """Return the figures of an observation's record; None for any bytes that are none."""
    if value is None or len(value) > RECORD_BYTES_MAX or nests_too_deep(value):
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def figures_of(observation: Observation) -> AnswerFigures:
    """Return the figures of an observation that was not sent yet."""
    return AnswerFigures(**{name: getattr(observation, name) for name in AnswerFigures.__struct_fields__})
