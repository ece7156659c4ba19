"""Searches for models and versions, in pages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from hotswap_stream.application.mlflow.entities import created_at, updated_at
from hotswap_stream.application.mlflow.filters import Condition, FilterError, parse_filter
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.domain.state.model import ModelState, VersionState

PAGE_MAX = 1_000
"""Models or versions in one page; a client that asks for more gets the rest by the token."""
ORDERS_MAX = 8

Found = TypeVar("Found")
VersionFound = tuple[ModelState, VersionState]
Orders = Mapping[str, Callable[[Any], Any]]
"""Field → what to sort by."""

_MODEL_ORDERS: Orders = {
    "name": lambda stream: stream.state.model_name,
    "last_updated_timestamp": lambda stream: stream.changed_timestamp_ms,
}
_VERSION_ORDERS: Orders = {
    "name": lambda found: found[0].model_name,
    "version_number": lambda found: found[1].registered_sequence,
    "creation_timestamp": lambda found: created_at(found[1]),
    "last_updated_timestamp": lambda found: updated_at(found[1]),
}


class Page(Struct, Generic[Found], frozen=True):
    """Part of what was found. `token` brings the next part; empty: there is none."""

    items: tuple[Found, ...]
    token: str


def search_models(
    streams: Mapping[str, Stream],
    text: str | None = None,
    *,
    order_by: Sequence[str] = (),
    limit: int | None = None,
    token: str | None = None,
) -> Page[Stream]:
    """Return models whose name and tags fit a filter; by name unless another order is asked for.

    Raises:
        FilterError: The filter, the order or the token cannot be read.
    """
    conditions = parse_filter(text, ("name",))
    found = [
        stream
        for stream in _named(streams, conditions)
        if all(condition.holds({"name": stream.state.model_name}, stream.state.tags) for condition in conditions)
    ]
    return _page(_sorted(found, _MODEL_ORDERS, order_by or ("name",)), limit, token)


def search_versions(
    streams: Mapping[str, Stream],
    text: str | None = None,
    *,
    order_by: Sequence[str] = (),
    limit: int | None = None,
    token: str | None = None,
) -> Page[VersionFound]:
    """Return versions whose model, run and tags fit a filter; those that changed last first, unless asked otherwise.

    Raises:
        FilterError: The filter, the order or the token cannot be read.
    """
    conditions = parse_filter(text, ("name", "run_id"))
    found = [
        (stream.state, version)
        for stream in _named(streams, conditions)
        for version in stream.state.versions.values()
        if all(
            condition.holds({"name": stream.state.model_name, "run_id": version.run_id or ""}, version.tags)
            for condition in conditions
        )
    ]
    order = order_by or ("last_updated_timestamp DESC", "name ASC", "version_number DESC")
    return _page(_sorted(found, _VERSION_ORDERS, order), limit, token)


def _named(streams: Mapping[str, Stream], conditions: Iterable[Condition]) -> Iterable[Stream]:
    """Return the streams worth looking at: where a filter names a model, that one."""
    for condition in conditions:
        if condition.field == "name" and condition.equal:
            stream = streams.get(condition.value)
            return () if stream is None else (stream,)
    return streams.values()


def _sorted(found: list[Found], orders: Orders, order_by: Sequence[str]) -> list[Found]:
    if len(order_by) > ORDERS_MAX:
        raise FilterError(f"order_by has {len(order_by)} fields; at most {ORDERS_MAX} are taken")
    for text in reversed(order_by):
        field, _, direction = text.strip().partition(" ")
        key = orders.get(field)
        if key is None or direction.strip().upper() not in ("", "ASC", "DESC"):
            raise FilterError(
                f"order_by {text[:100]!r} cannot be read: {', '.join(orders)}, and ASC or DESC after a space"
            )
        found = sorted(found, key=key, reverse=direction.strip().upper() == "DESC")
    return found


def _page(found: list[Found], limit: int | None, token: str | None) -> Page[Found]:
    start = 0
    if token:
        if not token.isascii() or not token.isdigit() or len(token) > 18:
            raise FilterError(f"page_token {token[:100]!r} is none that a search returned")
        start = int(token)
    end = start + min(limit or PAGE_MAX, PAGE_MAX)
    return Page(tuple(found[start:end]), str(end) if end < len(found) else "")
