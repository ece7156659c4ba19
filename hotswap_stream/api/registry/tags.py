"""Tags of models and versions, and aliases."""

from typing import Annotated

from litestar import Controller, Response, patch, put
from litestar.params import JSONBody, PathParameter
from msgspec import field

from hotswap_events.commands import ModelVersion, SetAlias, TagModel
from hotswap_events.registry.tags import ALIAS_CHARACTERS_MAX, TagKeys, Tags
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import VersionInPath
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime

AliasInPath = Annotated[str, PathParameter(max_length=ALIAS_CHARACTERS_MAX, description="The alias.")]


class TagBody(CommandBody, frozen=True):
    """Which tags to set, and which to remove; all others stay."""

    tags: Tags = field(default_factory=dict)
    removed: TagKeys = ()


class AliasBody(CommandBody, frozen=True):
    """Which version the alias is to point at; null: at none any more."""

    model_version: ModelVersion | None


class TagCommands(Controller):
    """What people and other registries note on models and versions. Nothing is decided by it."""

    path = "/api/models/{model_name:str}"
    tags = ("commands",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @patch("/tags", operation_id="tag_model", responses=PROBLEM_RESPONSES)
    async def tag_model(self, dispatch: Dispatch, data: JSONBody[TagBody]) -> Response[CommandAnswer]:
        """Set and remove tags of the model. With a new name it begins the model, without versions."""
        return await dispatch(TagModel, data)

    @patch("/versions/{model_version:str}/tags", operation_id="tag_version", responses=PROBLEM_RESPONSES)
    async def tag_version(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[TagBody]
    ) -> Response[CommandAnswer]:
        """Set and remove tags of a version."""
        return await dispatch(TagModel, data, model_version=model_version)

    @put("/aliases/{alias:str}", operation_id="set_alias", responses=PROBLEM_RESPONSES)
    async def set_alias(
        self, runtime: Runtime, dispatch: Dispatch, alias: AliasInPath, data: JSONBody[AliasBody]
    ) -> Response[CommandAnswer]:
        """Let an alias point at a version, or at none. It does nothing else: promotion is a command of its own."""
        if alias == runtime.services.mlflow_production_alias:
            raise ProblemError(
                422, "invalid-value", f"{alias!r} is what is in production; promote a version, and it points there"
            )
        return await dispatch(SetAlias, data, alias=alias)
