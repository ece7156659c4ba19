"""Datasets of a model, and how long its requests are kept: which may be recorded, and what their events mean.

The events are such that a release may pass over them, so here none may contradict a state.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from hotswap_events.commands import RecordDataset, Refusal, SetRequestRetention
from hotswap_events.dataset import (
    DatasetBuilt,
    DatasetCounts,
    DatasetQuery,
    OffsetRange,
    RequestRetention,
    RequestRetentionSet,
)
from hotswap_events.envelope import Envelope
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import Accepted, Decision, invalid
from hotswap_stream.domain.state.model import DatasetState, ModelState

DATASETS_MAX = 1_000
"""Datasets of one model."""
NAMES_MAX = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def wrong_dataset_name(name: str) -> str | None:
    """Return why this cannot be a dataset's name, or None. What reads as a digest would be taken for one."""
    if _NAME.fullmatch(name):
        return None
    return (
        f"dataset name {name[:100]!r} is not valid: lower-case letters, digits, '.', '_' and '-', starting with a "
        "letter or digit, at most 63 characters"
    )


def wrong_query(query: DatasetQuery) -> str | None:
    """Return why no dataset can be made by this query, or None."""
    if wrong := limits.wrong_shape(query, DatasetQuery):
        return f"query: {wrong}"
    for what, ranges in (("ranges", query.ranges), ("feedback", query.feedback)):
        if wrong := _wrong_ranges(what, ranges):
            return wrong
    if not query.ranges:
        return "query.ranges names no partition: there are no requests to build of"
    if query.split is not None and not query.split.begin < query.split.end:
        return f"query.split goes from {query.split.begin:g} to {query.split.end:g}: no request can be in it"
    if query.where is not None and query.where.reward_min is not None and not math.isfinite(query.where.reward_min):
        return f"query.where.reward_min is {query.where.reward_min}; a finite number is needed"
    names = [spec.name for spec in query.inputs]
    if len(set(names)) != len(names):
        return "query.inputs names an input twice"
    return None


def _wrong_ranges(what: str, ranges: tuple[OffsetRange, ...]) -> str | None:
    numbers = [each.partition for each in ranges]
    if numbers != sorted(set(numbers)):
        return f"query.{what} names partitions {numbers[:20]}: each once, in their order"
    for each in ranges:
        if each.until < each.first:
            return f"query.{what}: partition {each.partition} ends at {each.until} before it begins at {each.first}"
    return None


def resolve_dataset(state: ModelState, named: str) -> DatasetState | None:
    """Return the dataset with this digest or name, or None."""
    return state.datasets.get(state.dataset_names.get(named, named))


def _record(state: ModelState, command: RecordDataset) -> Decision:
    name, digest = command.dataset_name, command.artifact_digest
    if (command.query is None) == (command.source is None):
        return invalid("a dataset has either a query, which it was built by, or the source of the file that it was")
    if command.query is not None and not state.exists:
        return Refusal(code="unknown-model", reason=f"there is no model {state.model_name!r} yet: it had no requests")
    wrong_origin = None if command.query is None else wrong_query(command.query)
    if wrong := limits.wrong_digest(digest) or wrong_origin:
        return invalid(wrong)
    if wrong := limits.wrong_shape(command.counts, DatasetCounts):
        return invalid(f"counts: {wrong}")
    if name is not None and (wrong := wrong_dataset_name(name)):
        return invalid(wrong)
    if command.counts.rows < 1 or command.size_bytes < 1:
        return invalid("a dataset has at least one row and one byte")
    known = state.datasets.get(digest)
    if (
        known is not None
        and known.built.query == command.query
        and known.built.source == command.source
        and state.dataset_names.get(name or "") == (None if name is None else digest)
    ):
        return Accepted((), f"{state.model_name!r} has this dataset already: the same bytes from the same origin")
    if known is None and len(state.datasets) >= DATASETS_MAX:
        return invalid(f"{state.model_name!r} has {len(state.datasets)} datasets, the most there may be")
    if name is not None and name not in state.dataset_names and len(state.dataset_names) >= NAMES_MAX:
        return invalid(f"{state.model_name!r} has {len(state.dataset_names)} names of datasets, the most there may be")
    return Accepted(
        (
            DatasetBuilt(
                artifact_digest=digest,
                size_bytes=command.size_bytes,
                query=command.query,
                counts=command.counts,
                dataset_name=name,
                source=command.source,
            ),
        )
    )


def _set_retention(state: ModelState, command: SetRequestRetention) -> Decision:
    if wrong := limits.wrong_shape(command.retention, RequestRetention):
        return invalid(wrong)
    if command.retention == state.request_retention:
        return Accepted((), f"the requests of {state.model_name!r} are kept so long already")
    return Accepted((RequestRetentionSet(retention=command.retention),))


def _built(state: ModelState, data: DatasetBuilt, event: Envelope) -> None:
    # Built again by another query: it is listed as what it was built by last.
    state.datasets.pop(data.artifact_digest, None)
    state.datasets[data.artifact_digest] = DatasetState(data, event.sequence, event.time, event.actor)
    if data.dataset_name is not None:
        state.dataset_names[data.dataset_name] = data.artifact_digest


def _retention_set(state: ModelState, data: RequestRetentionSet, _event: Envelope) -> None:
    state.request_retention = data.retention


DATASET_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    RecordDataset: _record,
    SetRequestRetention: _set_retention,
}
DATASET_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    DatasetBuilt: _built,
    RequestRetentionSet: _retention_set,
}
