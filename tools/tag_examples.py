"""Example commands on tags and aliases."""

from collections.abc import Callable, Sequence
from typing import Any

from hotswap_events.commands import AnyCommand, SetAlias, TagModel

By = Callable[..., dict[str, Any]]
"""Command id and reason → the fields common to all commands."""


def tag_commands(by: By, model_version: str) -> Sequence[AnyCommand]:
    """Return commands on a model that has this version."""
    return (
        TagModel(**by(command_id="c-81"), tags={"team": "post office"}),
        TagModel(**by(command_id="c-82"), model_version=model_version, tags={"reviewed": "yes"}, removed=("draft",)),
        SetAlias(**by(command_id="c-83", reason="for the night shift"), alias="night", model_version=model_version),
    )
