"""Circuits, their policy, and the switch that turns a model off: queries and commands."""

from litestar import Controller, Response, get, post, put
from litestar.params import JSONBody
from msgspec import field
from msgspec.structs import asdict

from hotswap_events.serving.commands import (
    CloseCircuit,
    DisableModel,
    EnableModel,
    HalfOpenCircuit,
    OpenCircuit,
    SetServingPolicy,
)
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.application.serving.view import ServingView, find_serving


class ServingPolicyFields(ServingPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole policy; what is left out gets its default."""


class ServingPolicyBody(CommandBody, frozen=True):
    """When circuits open and close, and what answers meanwhile."""

    policy: ServingPolicyFields = field(default_factory=ServingPolicyFields)


class OpenCircuitBody(CommandBody, frozen=True):
    """What `circuit/open` takes."""

    without_fallback: bool = False
    """Also where nothing stands in, so that requests that are answered now get the error `circuit-open`."""


@get(
    "/api/models/{model_name:str}/serving",
    operation_id="get_serving",
    tags=["serving"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_serving(streams: PastOrPresent, model_name: ModelNameInPath) -> Response[ServingView]:
    """Which version answers and why, the circuits, their policy, and whether the model is switched off."""
    view = found(find_serving(streams, model_name))
    return Response(view, headers={"ETag": f'"{view.sequence}"'})


class ServingPolicyController(Controller):
    """When circuits open and close, and what answers meanwhile."""

    path = "/api/models/{model_name:str}/serving-policy"
    tags = ("serving",)

    @get("/", operation_id="get_serving_policy", responses=QUERY_PROBLEM_RESPONSES)
    async def get_serving_policy(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[ServingPolicy]:
        """The policy that holds: the model's own, or the default."""
        view = found(find_serving(streams, model_name))
        return Response(view.policy, headers={"ETag": f'"{view.sequence}"'})

    @put(
        "/",
        status_code=200,
        operation_id="set_serving_policy",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_serving_policy(
        self, dispatch: Dispatch, data: JSONBody[ServingPolicyBody]
    ) -> Response[CommandAnswer]:
        """Set the whole policy: what is left out gets its default."""
        return await dispatch(SetServingPolicy, data, policy=ServingPolicy(**asdict(data.policy)))


class ServingCommands(Controller):
    """Commands on how a model is served."""

    path = "/api/models/{model_name:str}"
    tags = ("serving",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post(
        "/disable",
        status_code=200,
        operation_id="disable_model",
        responses=PROBLEM_RESPONSES,
    )
    async def disable(self, dispatch: Dispatch, data: JSONBody[CommandBody]) -> Response[CommandAnswer]:
        """Switch the model off: every request is answered with the error `model-disabled`, at once and everywhere."""
        return await dispatch(DisableModel, data)

    @post(
        "/enable",
        status_code=200,
        operation_id="enable_model",
        responses=PROBLEM_RESPONSES,
    )
    async def enable(self, dispatch: Dispatch, data: JSONBody[CommandBody]) -> Response[CommandAnswer]:
        """Switch the model on again: its versions stayed loaded."""
        return await dispatch(EnableModel, data)

    @post(
        "/versions/{model_version:str}/circuit/open",
        status_code=200,
        operation_id="open_circuit",
        responses=PROBLEM_RESPONSES,
    )
    async def open_circuit(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[OpenCircuitBody]
    ) -> Response[CommandAnswer]:
        """Take a version out of answering: its fallback takes over. Refused without one, but for `without_fallback`."""
        return await dispatch(OpenCircuit, data, model_version=model_version)

    @post(
        "/versions/{model_version:str}/circuit/half-open",
        status_code=200,
        operation_id="half_open_circuit",
        responses=PROBLEM_RESPONSES,
    )
    async def half_open_circuit(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[CommandBody]
    ) -> Response[CommandAnswer]:
        """Try a version whose circuit is open with probes now, before its time."""
        return await dispatch(HalfOpenCircuit, data, model_version=model_version)

    @post(
        "/versions/{model_version:str}/circuit/reset",
        status_code=200,
        operation_id="reset_circuit",
        responses=PROBLEM_RESPONSES,
    )
    async def reset_circuit(
        self, dispatch: Dispatch, model_version: VersionInPath, data: JSONBody[CommandBody]
    ) -> Response[CommandAnswer]:
        """Close a version's circuit by hand: it answers again at once."""
        return await dispatch(CloseCircuit, data, model_version=model_version)
