"""What somebody asks a dataset of, and the query that it becomes: with places instead of times, and all defaults."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.dataset import (
    RECORDS_MAX,
    ROWS_MAX,
    Contradictions,
    DatasetFilter,
    DatasetName,
    DatasetQuery,
    DatasetSplit,
    OffsetRange,
    Ranges,
    RequestRetention,
    Truth,
)
from hotswap_events.inference.signature import ModelSignature
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.descriptions.dataset import retention_text
from hotswap_stream.domain.dataset_rules import resolve_dataset, wrong_query
from hotswap_stream.domain.state.model import ModelState


class DatasetOrder(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset that is to be built. What is left out is taken as far as the topics hold it."""

    dataset_name: DatasetName | None = None
    """The name stands for this dataset from then on."""
    like: Annotated[str, Meta(max_length=128)] | None = None
    """Digest or name of a dataset whose query is asked again, as it was; nothing else may be given then."""
    truth: Truth = "label"
    model_version: Annotated[str, Meta(max_length=63)] | None = None
    """Whose inputs a request must have; default: the active version's."""
    ranges: Ranges = ()
    """Offsets of the requests; partitions that are not named are left out. Default: all that is there."""
    since: datetime | None = None
    """Requests from this time on, by their records; excludes `ranges`."""
    until: datetime | None = None
    """Requests before this time; excludes `ranges`."""
    feedback: Ranges = ()
    """Feedback; default: all that is there now."""
    contradictions: Contradictions = "drop"
    label_seconds_max: Annotated[float, Meta(gt=0, le=1e10)] = 7 * 86_400.0
    where: DatasetFilter | None = None
    split: DatasetSplit | None = None
    rows_max: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = 1_000_000


class Held(Struct, frozen=True):
    """What a partition holds: from `first` up to and without `end`."""

    first: int
    end: int


class Places(Struct, frozen=True, kw_only=True):
    """What the topics hold now. Partition → what is there."""

    requests: Mapping[int, Held]
    feedback: Mapping[int, Held]
    since: Mapping[int, int] = {}
    """Partition → the first request from the order's `since` on."""
    until: Mapping[int, int] = {}
    """Partition → the first request from the order's `until` on."""


def query_of(order: DatasetOrder, state: ModelState, places: Places) -> DatasetQuery:
    """Return the query that an order means now.

    Raises:
        DatasetError: It cannot be built; the message says what would be right.
    """
    query = _asked_again(order, state) if order.like is not None else _asked(order, state, places)
    if wrong := wrong_query(query):
        raise DatasetError(wrong)
    for what, ranges, held in (
        ("requests", query.ranges, places.requests),
        ("feedback", query.feedback, places.feedback),
    ):
        _check_held(what, ranges, held, state.request_retention if what == "requests" else None)
        count = sum(each.until - each.first for each in ranges)
        if count > RECORDS_MAX:
            raise DatasetError(
                f"{count:,} records of {what} are asked for; at most {RECORDS_MAX:,} are read for one dataset: ask for "
                "fewer by offsets or by time"
            )
    if not sum(each.until - each.first for each in query.ranges):
        raise DatasetError("there are no requests in the ranges that are asked for")
    return query


def _asked_again(order: DatasetOrder, state: ModelState) -> DatasetQuery:
    if order != DatasetOrder(like=order.like, dataset_name=order.dataset_name):
        raise DatasetError("a dataset like another one has its query as it is: give nothing else but a name")
    known = resolve_dataset(state, order.like or "")
    if known is None:
        raise DatasetError(unknown_dataset(state, order.like or ""))
    if known.built.query is None:
        raise DatasetError(f"dataset {order.like!r} was a file, {known.built.source!r}: no query made it")
    return known.built.query


def _asked(order: DatasetOrder, state: ModelState, places: Places) -> DatasetQuery:
    if order.ranges and (order.since is not None or order.until is not None):
        raise DatasetError("say by offsets or by time which requests, not by both")
    chosen = state.validation_set
    signature = _signature(order, state)
    return DatasetQuery(
        ranges=order.ranges
        or tuple(
            OffsetRange(
                partition=number,
                first=max(held.first, places.since.get(number, held.first)),
                until=max(held.first, places.since.get(number, 0), min(held.end, places.until.get(number, held.end))),
            )
            for number, held in sorted(places.requests.items())
        ),
        feedback=order.feedback
        or tuple(
            OffsetRange(partition=number, first=held.first, until=held.end)
            for number, held in sorted(places.feedback.items())
        ),
        inputs=signature.inputs,
        batching=signature.batching,
        truth=order.truth,
        contradictions=order.contradictions,
        label_seconds_max=order.label_seconds_max,
        where=order.where,
        split=order.split,
        excluded_set=None if chosen is None else chosen.artifact_digest,
        rows_max=order.rows_max,
    )


def _signature(order: DatasetOrder, state: ModelState) -> ModelSignature:
    if order.model_version is not None:
        version = state.versions.get(order.model_version)
    else:
        version = state.active or next(reversed(state.versions.values()), None)
    if version is None:
        what = f"no version {order.model_version!r}" if order.model_version else "no version yet"
        raise DatasetError(f"{state.model_name!r} has {what}: what a request must have is what a version takes")
    if version.artifact.signature is None:
        raise DatasetError(
            f"what goes into {version.model_version!r} is not known, because an older release registered it: name "
            "another version"
        )
    return version.artifact.signature


def _check_held(what: str, ranges: Ranges, held: Mapping[int, Held], retention: RequestRetention | None) -> None:
    for each in ranges:
        found = held.get(each.partition)
        if found is None:
            raise DatasetError(
                f"there is no partition {each.partition} of {what}; there are {', '.join(map(str, sorted(held)))}"
            )
        if each.first < found.first and each.first < each.until:
            kept = (
                "" if what != "requests" else f"; they are kept for {retention_text(retention or RequestRetention())}"
            )
            raise DatasetError(
                f"the {what} at offset {each.first} of partition {each.partition} are gone: it begins at "
                f"{found.first}{kept}"
            )
        if each.until > found.end:
            raise DatasetError(
                f"partition {each.partition} of {what} ends at {found.end}, and {each.until} is asked for: a dataset "
                "is made of what is there"
            )


def unknown_dataset(state: ModelState, named: str) -> str:
    """Return what is said where a model has no dataset of this name or digest."""
    names = ", ".join(state.dataset_names) or "no named ones"
    return (
        f"{state.model_name!r} has no dataset {named[:100]!r}; it has {len(state.datasets)}: "
        f"{names}; see `hotswap-stream dataset list {state.model_name}`"
    )
