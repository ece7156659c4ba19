"""Sample tags and aliases of the sample model."""

from typing import Any

from hotswap_events.commands import SetAlias, TagModel
from hotswap_events.registry.events import RegistryEvent
from hotswap_events.registry.tags import DESCRIPTION_TAG, AliasSet, ModelTagged
from tests.support.samples.registry import MODEL, CountingIds

_command_ids = CountingIds("tag-command")


def _fields(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"actor": "alice", "model_name": MODEL, "command_id": _command_ids.new_id(), **attributes}


def tag(
    model_version: str | None = None, tags: dict[str, str] | None = None, *removed: str, **attributes: Any
) -> TagModel:
    return TagModel(model_version=model_version, tags=tags or {}, removed=removed, **_fields(attributes))


def set_alias(alias: str, model_version: str | None = None, **attributes: Any) -> SetAlias:
    return SetAlias(alias=alias, model_version=model_version, **_fields(attributes))


DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (ModelTagged(), "tagged digits (nothing yet)"),
    (ModelTagged(tags={"team": "post"}, removed=("old",)), "tagged digits (set team to 'post', removed old)"),
    (
        ModelTagged(model_version="v1", tags={DESCRIPTION_TAG: "by hand", "a": "1", "b": "2"}, removed=("c", "d")),
        "tagged v1 of digits (described it as 'by hand', set a to '1', set b to '2' and 2 more)",
    ),
    (AliasSet(alias="blue", model_version="v1"), "set alias blue of digits to v1"),
    (AliasSet(alias="blue"), "set alias blue of digits to no version"),
]
"""Event → how it is told."""
