"""Rollouts of a model: what goes on, and the commands on it."""

from litestar import Controller, Response, get, post
from litestar.params import JSONBody

from hotswap_events.rollouts.commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    RecordAnalysis,
    ResumeRollout,
    StartRollout,
)
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer
from hotswap_stream.api.commands.dispatch import Dispatch
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import found
from hotswap_stream.api.registry.as_of import PastOrPresent
from hotswap_stream.api.rollouts.bodies import (
    AbortRolloutBody,
    ChangeStrategyBody,
    PromoteRolloutBody,
    RecordAnalysisBody,
    RolloutBody,
    StartRolloutBody,
)
from hotswap_stream.application.rollouts.view import RolloutList, RolloutReport, find_rollout, list_rollouts


@get(
    "/api/models/{model_name:str}/rollouts",
    operation_id="list_rollouts",
    tags=["rollouts"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_rollouts(streams: PastOrPresent, model_name: ModelNameInPath) -> Response[RolloutList]:
    """The current rollout and the last 20 that ended, newest first."""
    rollouts = found(list_rollouts(streams, model_name))
    return Response(rollouts, headers={"ETag": f'"{streams[model_name].state.sequence}"'})


class RolloutController(Controller):
    """A model's rollout, and starting one."""

    path = "/api/models/{model_name:str}/rollout"
    tags = ("rollouts",)

    @get("/", operation_id="get_rollout", responses=QUERY_PROBLEM_RESPONSES)
    async def get_rollout(self, streams: PastOrPresent, model_name: ModelNameInPath) -> Response[RolloutReport]:
        """The current rollout with its evidence, the split of the traffic, and what may be asked of it."""
        report = found(find_rollout(streams, model_name))
        return Response(report, headers={"ETag": f'"{report.sequence}"'})

    @post(
        "/",
        status_code=200,
        operation_id="start_rollout",
        guards=[guard_state_change],
        security=KEY_OR_NONE,
        responses=PROBLEM_RESPONSES,
    )
    async def start(self, dispatch: Dispatch, data: JSONBody[StartRolloutBody]) -> Response[CommandAnswer]:
        """Try candidates against the version in production."""
        return await dispatch(StartRollout, data)


class RolloutCommands(Controller):
    """Commands on the rollout that goes on."""

    path = "/api/models/{model_name:str}/rollout"
    tags = ("rollouts",)
    guards = (guard_state_change,)
    security = KEY_OR_NONE

    @post(
        "/advance",
        status_code=200,
        operation_id="advance_rollout",
        responses=PROBLEM_RESPONSES,
    )
    async def advance(self, dispatch: Dispatch, data: JSONBody[RolloutBody]) -> Response[CommandAnswer]:
        """Go to the next step of a progressive rollout; behind the last one the candidate is promoted."""
        return await dispatch(AdvanceRollout, data)

    @post(
        "/pause",
        status_code=200,
        operation_id="pause_rollout",
        responses=PROBLEM_RESPONSES,
    )
    async def pause(self, dispatch: Dispatch, data: JSONBody[RolloutBody]) -> Response[CommandAnswer]:
        """Let the rollout stand still, with traffic split as it is."""
        return await dispatch(PauseRollout, data)

    @post(
        "/resume",
        status_code=200,
        operation_id="resume_rollout",
        responses=PROBLEM_RESPONSES,
    )
    async def resume(self, dispatch: Dispatch, data: JSONBody[RolloutBody]) -> Response[CommandAnswer]:
        """Let a paused rollout go on; a step that pauses until somebody resumes is left."""
        return await dispatch(ResumeRollout, data)

    @post(
        "/promote",
        status_code=200,
        operation_id="promote_rollout",
        responses=PROBLEM_RESPONSES,
    )
    async def promote(self, dispatch: Dispatch, data: JSONBody[PromoteRolloutBody]) -> Response[CommandAnswer]:
        """Put the candidate into production and end the rollout; while it bakes, keep the version."""
        return await dispatch(PromoteRollout, data)

    @post(
        "/abort",
        status_code=200,
        operation_id="abort_rollout",
        responses=PROBLEM_RESPONSES,
    )
    async def abort(self, dispatch: Dispatch, data: JSONBody[AbortRolloutBody]) -> Response[CommandAnswer]:
        """Give all traffic back to the baseline; while it bakes, roll back to it."""
        return await dispatch(AbortRollout, data)

    @post("/strategy", status_code=200, operation_id="change_strategy", responses=PROBLEM_RESPONSES)
    async def change_strategy(self, dispatch: Dispatch, data: JSONBody[ChangeStrategyBody]) -> Response[CommandAnswer]:
        """Go on by another strategy, with the same baseline and salt."""
        return await dispatch(ChangeStrategy, data)

    @post("/analysis", status_code=200, operation_id="record_analysis", responses=PROBLEM_RESPONSES)
    async def record_analysis(self, dispatch: Dispatch, data: JSONBody[RecordAnalysisBody]) -> Response[CommandAnswer]:
        """Hand in the outcome of an analysis made elsewhere; the rollout's policy says what follows."""
        return await dispatch(RecordAnalysis, data)
