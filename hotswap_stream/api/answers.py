"""Answers explained: from an answer to the event that chose its weights."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from litestar import Request, get
from litestar.params import PathParameter, QueryParameter

from hotswap_events.bounds import INT64_MAX, PARTITION_MAX
from hotswap_stream.api.access.callers import client_of
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import ProblemError, found
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.audit.explanation import (
    ExplainedAnswer,
    explain_answer,
    find_answer_at,
    find_answer_by_id,
)
from hotswap_stream.application.observations.feedback import AnswerLookup, FoundAnswer
from hotswap_stream.application.registry.queries import find_model

_Found = TypeVar("_Found")

REQUEST_ID_CHARACTERS_MAX = 256

PartitionInPath = Annotated[
    int, PathParameter(ge=0, le=PARTITION_MAX, description="`request_partition` of the answer's parameters.")
]
OffsetInPath = Annotated[
    int, PathParameter(ge=0, le=INT64_MAX, description="`request_offset` of the answer's parameters.")
]


@get("/api/answers/{request_id:str}", operation_id="explain_answer", tags=["events"], responses=QUERY_PROBLEM_RESPONSES)
async def explain_by_id(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    request_id: Annotated[str, PathParameter(max_length=REQUEST_ID_CHARACTERS_MAX, description="Id of the request.")],
    model_name: Annotated[str | None, QueryParameter(description="Of which model; default: of any.")] = None,
) -> ExplainedAnswer:
    """Which version gave an answer, by which event of the log, who made it and why, and how to compute it again.

    By id the newest answers of each model are found; by the place of the request all that are kept.
    """
    streams = runtime.registry.fold.streams
    if model_name is not None:
        found(find_model(streams, model_name))
    name, answer = await _asked(
        runtime,
        lambda lookup: find_answer_by_id(lookup, request_id, models=sorted(streams), model_name=model_name),
    )
    return await _explained(request, runtime, name, answer)


@get(
    "/api/models/{model_name:str}/answers/{request_partition:int}/{request_offset:int}",
    operation_id="explain_answer_at",
    tags=["events"],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def explain_at(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    model_name: ModelNameInPath,
    request_partition: PartitionInPath,
    request_offset: OffsetInPath,
) -> ExplainedAnswer:
    """The same of the answer to the request at this partition and offset."""
    found(find_model(runtime.registry.fold.streams, model_name))
    answer = await _asked(runtime, lambda lookup: find_answer_at(lookup, model_name, request_partition, request_offset))
    return await _explained(request, runtime, model_name, answer)


async def _asked(runtime: ApiRuntime, question: Callable[[AnswerLookup], Awaitable[_Found]]) -> _Found:
    """Ask in the side loop, where the lookup lives. ProblemError (503) without one, or while the broker is away."""
    lookup = runtime.services.answers
    if lookup is None:
        raise ProblemError(503, "answers-unknown", "this server was started without a way to the answers")
    require_broker(runtime)
    return await runtime.side.run(lambda: question(lookup))


async def _explained(
    request: Request[Any, Any, Any], runtime: ApiRuntime, model_name: str, answer: FoundAnswer
) -> ExplainedAnswer:
    stream = runtime.registry.stream(model_name)
    return await explain_answer(
        model_name,
        answer,
        log=runtime.registry.log,
        as_of=runtime.as_of,
        now=None if stream is None else stream.state,
        client=client_of(request),
    )
