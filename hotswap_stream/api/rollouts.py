"""Rollouts of a model: what goes on, and the commands on it."""

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.params import JSONBody

from hotswap_events.commands import AnyCommand
from hotswap_events.rollout_commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    RecordAnalysis,
    ResumeRollout,
    StartRollout,
)
from hotswap_stream.api.authorization import guard_state_change
from hotswap_stream.api.command_answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES, CommandAnswer, handled
from hotswap_stream.api.command_context import Headers, command_context, nothing_unread
from hotswap_stream.api.operations import KEY_OR_NONE, OptionalBodyOperation
from hotswap_stream.api.parameters import ModelNameInPath
from hotswap_stream.api.past_or_present import PastOrPresent
from hotswap_stream.api.problems import found
from hotswap_stream.api.rollout_bodies import (
    AbortRolloutBody,
    ChangeStrategyBody,
    PromoteRolloutBody,
    RecordAnalysisBody,
    RolloutBody,
    StartRolloutBody,
)
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.rollout_view import RolloutList, RolloutReport, find_rollout, list_rollouts


@get(
    "/api/models/{model_name:str}/rollouts",
    operation_id="list_rollouts",
    tags=["rollouts"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_rollouts(streams: PastOrPresent, model_name: ModelNameInPath) -> RolloutList:
    """The current rollout and the last 20 that ended, newest first."""
    return found(list_rollouts(streams, model_name))


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
    async def start(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[StartRolloutBody],
    ) -> Response[CommandAnswer]:
        """Try candidates against the version in production."""
        context = command_context(command_headers, data, runtime.services.ids)
        await nothing_unread(request, data)
        command = StartRollout(
            model_name=model_name,
            strategy=data.strategy,
            candidates=data.candidates,
            policy=data.policy,
            salt=data.salt,
            forced=data.forced,
            **context.fields(),
        )
        return await handled(runtime, context, command)


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
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def advance(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[RolloutBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Go to the next step of a progressive rollout; behind the last one the candidate is promoted."""
        return await _plain(AdvanceRollout, runtime, command_headers, model_name, data)

    @post(
        "/pause",
        status_code=200,
        operation_id="pause_rollout",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def pause(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[RolloutBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Let the rollout stand still, with traffic split as it is."""
        return await _plain(PauseRollout, runtime, command_headers, model_name, data)

    @post(
        "/resume",
        status_code=200,
        operation_id="resume_rollout",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def resume(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[RolloutBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Let a paused rollout go on; a step that pauses until somebody resumes is left."""
        return await _plain(ResumeRollout, runtime, command_headers, model_name, data)

    @post(
        "/promote",
        status_code=200,
        operation_id="promote_rollout",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def promote(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[PromoteRolloutBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Put the candidate into production and end the rollout; while it bakes, keep the version."""
        context = command_context(command_headers, data, runtime.services.ids)
        body = data or PromoteRolloutBody()
        command = PromoteRollout(
            model_name=model_name,
            model_version=body.model_version,
            forced=body.forced,
            rollout_id=body.rollout_id,
            step_index=body.step_index,
            **context.fields(),
        )
        return await handled(runtime, context, command)

    @post(
        "/abort",
        status_code=200,
        operation_id="abort_rollout",
        operation_class=OptionalBodyOperation,
        responses=PROBLEM_RESPONSES,
    )
    async def abort(
        self,
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[AbortRolloutBody | None] = None,
    ) -> Response[CommandAnswer]:
        """Give all traffic back to the baseline; while it bakes, roll back to it."""
        context = command_context(command_headers, data, runtime.services.ids)
        body = data or AbortRolloutBody()
        command = AbortRollout(
            model_name=model_name,
            archive=body.archive,
            rollout_id=body.rollout_id,
            step_index=body.step_index,
            **context.fields(),
        )
        return await handled(runtime, context, command)

    @post("/strategy", status_code=200, operation_id="change_strategy", responses=PROBLEM_RESPONSES)
    async def change_strategy(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[ChangeStrategyBody],
    ) -> Response[CommandAnswer]:
        """Go on by another strategy, with the same baseline and salt."""
        context = command_context(command_headers, data, runtime.services.ids)
        await nothing_unread(request, data)
        command = ChangeStrategy(
            model_name=model_name,
            strategy=data.strategy,
            candidates=data.candidates,
            policy=data.policy,
            forced=data.forced,
            rollout_id=data.rollout_id,
            step_index=data.step_index,
            **context.fields(),
        )
        return await handled(runtime, context, command)

    @post("/analysis", status_code=200, operation_id="record_analysis", responses=PROBLEM_RESPONSES)
    async def record_analysis(
        self,
        request: Request[Any, Any, Any],
        runtime: Runtime,
        command_headers: Headers,
        model_name: ModelNameInPath,
        data: JSONBody[RecordAnalysisBody],
    ) -> Response[CommandAnswer]:
        """Hand in the outcome of an analysis made elsewhere; the rollout's policy says what follows."""
        context = command_context(command_headers, data, runtime.services.ids)
        await nothing_unread(request, data)
        command = RecordAnalysis(
            model_name=model_name,
            outcome=data.outcome,
            watermark=data.watermark,
            evidence=data.evidence,
            model_version=data.model_version,
            rollout_id=data.rollout_id,
            step_index=data.step_index,
            **context.fields(),
        )
        return await handled(runtime, context, command)


async def _plain(
    command_type: type[AdvanceRollout | PauseRollout | ResumeRollout],
    runtime: ApiRuntime,
    headers: Headers,
    model_name: str,
    data: RolloutBody | None,
) -> Response[CommandAnswer]:
    context = command_context(headers, data, runtime.services.ids)
    body = data or RolloutBody()
    command: AnyCommand = command_type(
        model_name=model_name, rollout_id=body.rollout_id, step_index=body.step_index, **context.fields()
    )
    return await handled(runtime, context, command)
