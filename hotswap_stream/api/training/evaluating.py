"""Measuring a version on the model's validation set, for a verdict."""

from litestar import post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from hotswap_events.commands import Refusal
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import CommandBody, Headers, command_context
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, Problem, ProblemError, problem_of, refused
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.queries import find_version
from hotswap_stream.application.training.evaluation import Evaluation, SetEvaluation, VersionMeasured
from hotswap_stream.errors import HotswapError

EVALUATIONS_AT_ONCE_MAX = 2
NO_EVALUATION = ResponseSpec(Problem, generate_examples=False, description="This server measures no versions")


@post(
    "/api/models/{model_name:str}/versions/{model_version:str}/evaluate",
    status_code=200,
    operation_id="evaluate_version",
    tags=["commands"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=PROBLEM_RESPONSES | {501: NO_EVALUATION},
)
async def evaluate_version(
    runtime: Runtime,
    command_headers: Headers,
    model_name: ModelNameInPath,
    model_version: VersionInPath,
    data: JSONBody[CommandBody],
) -> VersionMeasured:
    """Measure a version and the active one on the model's validation set, and hand in the figures for a verdict.

    It happens in a process of its own and takes seconds to minutes; the answer comes at its end.
    """
    measure = runtime.services.measure_version
    if measure is None:
        raise ProblemError(501, "no-training-here", "this server measures no versions; use `hotswap-stream evaluate`")
    context = command_context(command_headers, data, runtime.services.ids)
    require_broker(runtime, command_id=context.command_id)
    known = find_version(runtime.registry.fold.streams, model_name, model_version)
    if isinstance(known, Refusal):
        raise refused(known, command_id=context.command_id)
    if runtime.evaluations_under_way >= EVALUATIONS_AT_ONCE_MAX:
        reason = f"{EVALUATIONS_AT_ONCE_MAX} versions are being measured, and no more are at once; try again later"
        raise ProblemError(503, "busy", reason, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    runtime.evaluations_under_way += 1
    try:
        measured, result = await measure(
            model_name,
            model_version,
            actor=context.actor,
            command_id=context.command_id,
            actor_by=context.actor_by,
            reason=context.reason,
        )
    except HotswapError as error:
        raise problem_of(error, command_id=context.command_id) from error
    finally:
        runtime.evaluations_under_way -= 1
    if result.refusal is not None:
        raise refused(result.refusal, command_id=result.command_id)
    version = runtime.registry.state(model_name).versions.get(model_version)
    validation = None if version is None else version.validation
    return VersionMeasured(
        result=result,
        verdict=None if validation is None else validation.verdict,
        detail=None if validation is None else validation.detail,
        on_digits=measured if isinstance(measured, Evaluation) else None,
        on_set=measured if isinstance(measured, SetEvaluation) else None,
    )
