"""Asking for training runs, and cancelling them."""

from typing import Annotated

from litestar import Controller, Response, post
from litestar.params import JSONBody
from msgspec import Meta, field

from hotswap_events.commands import CancelTraining, RequestTraining
from hotswap_events.training.events import (
    AfterTraining,
    AskedAsRepeat,
    AskedByHand,
    Datasets,
    Parameters,
    Retries,
    RunSeconds,
    TrainerName,
)
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.context import CommandBody
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.api.training.runs import RunInPath
from hotswap_stream.application.trainers.built_in import wrong_parameters


class RequestTrainingBody(CommandBody, frozen=True):
    """What is to be trained, by which trainer, and what becomes of a version that passes."""

    trainer: TrainerName
    run_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Default: a new one. The same request under the same id again changes nothing."""
    parameters: Parameters = field(default_factory=dict)
    datasets: Datasets = ()
    """Digests, or names of datasets of the model; none: the data that the trainer knows itself."""
    after: AfterTraining = "nothing"
    cause: AskedByHand | AskedAsRepeat = field(default_factory=AskedByHand)
    retries: Retries = 0
    """How often to ask again when its runner falls silent, crashes, or cannot store the artifact."""
    seconds_max: RunSeconds | None = None


class CancelTrainingBody(CommandBody, frozen=True):
    """Why to stop a run."""


class TrainingRequests(Controller):
    """Commands on training runs that any runner does."""

    path = "/api/models/{model_name:str}"
    tags = ("training",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post("/training-requests", status_code=200, operation_id="request_training", responses=PROBLEM_RESPONSES)
    async def request(
        self, runtime: Runtime, dispatch: Dispatch, data: JSONBody[RequestTrainingBody]
    ) -> Response[CommandAnswer]:
        """Ask for a run; whichever runner has the trainer does it. With a new model's name it begins the model."""
        if wrong := wrong_parameters(data.trainer, data.parameters):
            raise ProblemError(422, "invalid-value", wrong)
        run_id = data.run_id or f"run-{runtime.services.ids.new_id()}"
        return await dispatch(RequestTraining, data, run_id=run_id)

    @post(
        "/training-runs/{run_id:str}/cancel",
        status_code=200,
        operation_id="cancel_training_run",
        responses=PROBLEM_RESPONSES,
    )
    async def cancel(
        self, dispatch: Dispatch, run_id: RunInPath, data: JSONBody[CancelTrainingBody]
    ) -> Response[CommandAnswer]:
        """Stop a run, wherever it is. It is over at once; its runner ends what it started."""
        return await dispatch(CancelTraining, data, run_id=run_id)
