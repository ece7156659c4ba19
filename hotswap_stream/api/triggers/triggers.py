"""Training policies and triggers: queries and commands."""

from litestar import Controller, Response, get, post, put
from litestar.params import JSONBody

from hotswap_events.training.events import Datasets
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import FireTrigger, SetTrainingPolicy
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.triggers.view import ModelTriggers, TriggerList, find_triggers, list_triggers


class TrainingPolicyBody(CommandBody, frozen=True):
    """What starts training runs of the model."""

    policy: TrainingPolicy | None = None
    """Null, or left out: nothing starts by itself any more."""


class FireBody(CommandBody, frozen=True):
    """Start a run by hand. The id of the command says which: the same one never starts two."""

    datasets: Datasets = ()
    """Besides those of the policy."""
    override: bool = False
    """Past cooldown, budget and freeze; it needs a reason."""


@get("/api/triggers", operation_id="list_triggers", tags=["training"], responses=QUERY_PROBLEM_RESPONSES)
async def get_triggers(streams: PastOrPresent) -> TriggerList:
    """Models that have a training policy, or had one, with what happened last."""
    return list_triggers(streams)


class TriggerController(Controller):
    """What starts training runs of one model."""

    path = "/api/models/{model_name:str}/triggers"
    tags = ("training",)

    @get("/", operation_id="get_triggers", responses=QUERY_PROBLEM_RESPONSES)
    async def get_triggers(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[ModelTriggers]:
        """The policy, and what fired or was suppressed, newest first."""
        triggers = found(find_triggers(streams, model_name))
        return Response(triggers, headers={"ETag": f'"{triggers.sequence}"'})

    @post(
        "/fire",
        status_code=200,
        operation_id="fire_trigger",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def fire(self, runtime: Runtime, dispatch: Dispatch, data: JSONBody[FireBody]) -> Response[CommandAnswer]:
        """Start a run by the model's policy, by hand."""
        return await dispatch(FireTrigger, data, trigger="hand", at=runtime.services.clock.now())


class TrainingPolicyController(Controller):
    """The policy alone."""

    path = "/api/models/{model_name:str}/training-policy"
    tags = ("training",)

    @put(
        "/",
        status_code=200,
        operation_id="set_training_policy",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def set_policy(self, dispatch: Dispatch, data: JSONBody[TrainingPolicyBody]) -> Response[CommandAnswer]:
        """Set the whole policy. With a new model's name it begins the model, without versions."""
        return await dispatch(SetTrainingPolicy, data)
