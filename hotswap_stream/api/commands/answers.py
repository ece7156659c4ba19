"""From a command's result to the HTTP answer: the event and its offset, or the reason it was refused."""

from collections.abc import Awaitable
from typing import Any

from litestar import Response
from litestar.openapi.datastructures import ResponseSpec

from hotswap_events.commands import AnyCommand, CommandResult, PromoteVersion, RollBack, SwitchVersion
from hotswap_events.registry.state import RegistryVersion
from hotswap_events.rollouts.record import RolloutRecord
from hotswap_stream.api.commands.context import CommandContext
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, Problem, ProblemError, problem_of, refused
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.registry.view import registry_version
from hotswap_stream.application.rollouts.view import named_rollout
from hotswap_stream.errors import HotswapError


class CommandAnswer(CommandResult, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the command, and the metadata of the version it was about, as it is after it."""

    active_version: str | None = None
    version: RegistryVersion | None = None
    rollout: RolloutRecord | None = None
    """The rollout the command was about, as it is after it."""


def command_answer(result: CommandResult, context: CommandContext, registry: Registry) -> Response[CommandAnswer]:
    """Return 200 with the result and the sequence as ETag. ProblemError for a refusal, or a command to be retried."""
    if result.refusal is not None:
        by_if_match = result.refusal.code == "sequence-mismatch" and context.by_if_match
        raise refused(result.refusal, status=412 if by_if_match else None, command_id=result.command_id)
    if result.status == "failed":
        raise ProblemError(
            503,
            "contention",
            result.detail or "other writers were faster every time",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            command_id=result.command_id,
        )
    state = registry.state(result.model_name)
    version = None if result.model_version is None else state.versions.get(result.model_version)
    fields: dict[str, Any] = {name: getattr(result, name) for name in CommandResult.__struct_fields__}
    answer = CommandAnswer(
        **fields,
        active_version=state.active_version,
        version=None if version is None else registry_version(version),
        rollout=None if result.rollout_id is None else named_rollout(state, result.rollout_id),
    )
    headers = {} if result.sequence is None else {"ETag": f'"{result.sequence}"'}
    return Response(answer, headers=headers)


async def settled(result: Awaitable[CommandResult], context: CommandContext) -> CommandResult:
    """Return the result; raise an error as a problem that names the command, so that it can be sent again."""
    try:
        return await result
    except HotswapError as error:
        raise problem_of(error, command_id=context.command_id) from error


async def handled(runtime: ApiRuntime, context: CommandContext, command: AnyCommand) -> Response[CommandAnswer]:
    """Let the registry handle a command, and return the HTTP answer. ProblemError as of `command_answer`."""
    require_broker(runtime, command_id=context.command_id)
    result = await settled(runtime.registry.handle(command, actor_by=context.actor_by), context)
    if isinstance(command, PromoteVersion | SwitchVersion | RollBack) and result.refusal is not None:
        target = "former" if isinstance(command, RollBack) else command.model_version
        runtime.count_refused_switch(command.model_name, target, result.refusal.code)
    if context.payload is not None and result.status in ("accepted", "unchanged"):
        runtime.repeated_keys.keep(context.payload)
    return command_answer(result, context, runtime.registry)


PROBLEM_RESPONSES = {
    400: ResponseSpec(Problem, generate_examples=False, description="The body is not JSON"),
    401: ResponseSpec(Problem, generate_examples=False, description="An API key is needed"),
    403: ResponseSpec(Problem, generate_examples=False, description="A page of another site, or another name as Host"),
    404: ResponseSpec(Problem, generate_examples=False, description="No such model or version; `legal` lists them"),
    409: ResponseSpec(Problem, generate_examples=False, description="Refused; `legal` lists what would be legal"),
    412: ResponseSpec(Problem, generate_examples=False, description="The model is not at the sequence of If-Match"),
    413: ResponseSpec(Problem, generate_examples=False, description="The body is too large"),
    415: ResponseSpec(Problem, generate_examples=False, description="The body is not application/json"),
    422: ResponseSpec(Problem, generate_examples=False, description="A value is not valid, or there is no body"),
    503: ResponseSpec(Problem, generate_examples=False, description="Try again, with the same command id"),
}
CONFLICT = {409: ResponseSpec(Problem, generate_examples=False, description="Not as things are; `legal` lists what is")}
"""The answer of queries that need something to be there first."""
QUERY_PROBLEM_RESPONSES = {status: PROBLEM_RESPONSES[status] for status in (403, 404, 422, 503)}
