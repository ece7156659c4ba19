"""Tags and aliases: which may be set, and what their events mean.

The events are such that a release may pass over them, so here none may contradict a state: for whoever passes over it,
it counts. What names a version that is not there has no effect.
"""

import re
from collections.abc import Callable
from typing import Any

from hotswap_events.commands import Refusal, SetAlias, TagModel
from hotswap_events.envelope import Envelope
from hotswap_events.registry.tags import ALIAS_CHARACTERS_MAX, ALIASES_MAX, TAGS_MAX, AliasSet, ModelTagged
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, invalid
from hotswap_stream.domain.state.model import ModelState

_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VERSION_LIKE = re.compile(r"(?i)v?[0-9]+|latest")


def wrong_alias(alias: str) -> str | None:
    """Return why this cannot be an alias, or None. What reads as a version would be taken for one in a URI."""
    if len(alias) > ALIAS_CHARACTERS_MAX or not _ALIAS.fullmatch(alias) or _VERSION_LIKE.fullmatch(alias):
        return (
            f"alias {alias[:100]!r} is not valid: letters, digits, '.', '_' and '-', at most {ALIAS_CHARACTERS_MAX} "
            "characters; neither 'latest' nor what reads as a version, such as '3' or 'v3'"
        )
    return None


def _tag(state: ModelState, command: TagModel) -> Decision:
    tags = state.tags
    if command.model_version is not None:
        version = find_version(state, command.model_version)
        if isinstance(version, Refusal):
            return version
        tags = version.tags
    if wrong := limits.wrong_labels("tags", command.tags):
        return invalid(wrong)
    if both := sorted(set(command.tags) & set(command.removed)):
        return invalid(f"tag {both[0][:100]!r} is to be set and to be removed: say one of both")
    changed = {key: value for key, value in command.tags.items() if tags.get(key) != value}
    removed = tuple(sorted(key for key in set(command.removed) if key in tags))
    total = len({*tags, *changed} - {*removed})
    if changed and total > TAGS_MAX:
        return invalid(f"there would be {total} tags; at most {TAGS_MAX} are kept: remove some first")
    if state.exists and not changed and not removed:
        return Accepted((), "the tags are so already")
    return Accepted((ModelTagged(model_version=command.model_version, tags=changed, removed=removed),))


def _set_alias(state: ModelState, command: SetAlias) -> Decision:
    alias, model_version = command.alias, command.model_version
    if model_version is None:
        if alias not in state.aliases:
            return Accepted((), f"{state.model_name!r} has no alias {alias[:100]!r}")
        return Accepted((AliasSet(alias=alias),))
    if wrong := wrong_alias(alias):
        return invalid(wrong)
    version = find_version(state, model_version)
    if isinstance(version, Refusal):
        return version
    if state.aliases.get(alias) == model_version:
        return Accepted((), f"{alias!r} points at {model_version!r} already")
    if alias not in state.aliases and len(state.aliases) >= ALIASES_MAX:
        return invalid(
            f"{state.model_name!r} has {len(state.aliases)} aliases, the most there may be: remove one first"
        )
    return Accepted((AliasSet(alias=alias, model_version=model_version),))


def _tagged(state: ModelState, data: ModelTagged, _event: Envelope) -> None:
    removed = set(data.removed)
    if data.model_version is None:
        state.tags = {**{key: value for key, value in state.tags.items() if key not in removed}, **data.tags}
    elif (version := state.versions.get(data.model_version)) is not None:
        version.tags = {**{key: value for key, value in version.tags.items() if key not in removed}, **data.tags}


def _alias_set(state: ModelState, data: AliasSet, _event: Envelope) -> None:
    if data.model_version is None:
        state.aliases.pop(data.alias, None)
    elif data.model_version in state.versions:
        state.aliases[data.alias] = data.model_version


TAG_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {TagModel: _tag, SetAlias: _set_alias}
TAG_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {ModelTagged: _tagged, AliasSet: _alias_set}
