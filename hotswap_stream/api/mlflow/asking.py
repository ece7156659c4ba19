"""What handlers of MLflow's paths have in common: who is asked for, and commands as this registry's own."""

from typing import Annotated, Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Command
from hotswap_events.commands import Refusal
from hotswap_events.registry.tags import DESCRIPTION_TAG
from hotswap_stream.api.commands.answers import CommandAnswer, handled
from hotswap_stream.api.commands.context import CommandBody, CommandContext, CommandHeaders, command_context
from hotswap_stream.api.mlflow.bodies import NAME_CHARACTERS_MAX
from hotswap_stream.api.protocol.mlflow_form import MlflowError
from hotswap_stream.api.protocol.problems import ProblemError, found, refused
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.mlflow.filters import FILTER_CHARACTERS_MAX
from hotswap_stream.application.mlflow.versions import version_named
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.queries import unknown_model
from hotswap_stream.domain.deciding.limits import wrong_model_name
from hotswap_stream.domain.state.model import VersionState

ORDERS_MAX = 8

NameInQuery = Annotated[str, QueryParameter(max_length=NAME_CHARACTERS_MAX, description="Name of the model.")]
VersionInQuery = Annotated[
    str, QueryParameter(max_length=NAME_CHARACTERS_MAX, description="The version: `3` for `v3`.")
]
Filter = Annotated[
    str | None,
    QueryParameter(
        name="filter",
        max_length=FILTER_CHARACTERS_MAX,
        description="Conditions such as `name = 'digits'` or `tags.team != 'x'`, joined by AND.",
    ),
]
MaxResults = Annotated[
    int | None,
    QueryParameter(ge=1, le=INT64_MAX, description="In a page at most; never more than 1,000, the rest by the token."),
]
OrderBy = Annotated[
    list[str] | None, QueryParameter(max_items=ORDERS_MAX, description="Such as `name DESC`; repeat for more.")
]
PageToken = Annotated[str | None, QueryParameter(max_length=64, description="`next_page_token` of the page before.")]

ERRORS = {
    status: ResponseSpec(MlflowError, generate_examples=False, description=text)
    for status, text in {
        400: "`INVALID_PARAMETER_VALUE`, `MALFORMED_REQUEST` or `RESOURCE_ALREADY_EXISTS`",
        401: "`UNAUTHENTICATED`: an API key is needed",
        403: "`PERMISSION_DENIED`: a page of another site, or another name as Host",
        404: "`RESOURCE_DOES_NOT_EXIST`: no such model, version or alias",
        409: "`INVALID_STATE`: a gate or a rule refuses it; or `RESOURCE_CONFLICT`",
        501: "`NOT_IMPLEMENTED`: MLflow has it, this registry does not; the message says what to do instead",
        503: "`TEMPORARILY_UNAVAILABLE`: try again",
    }.items()
}
QUERY_ERRORS = {status: ERRORS[status] for status in (400, 403, 404, 503)}
NOT_CARRIED = {status: ERRORS[status] for status in (401, 501)}


def stream_of(runtime: ApiRuntime, name: str) -> Stream:
    """Return a model as it is now. ProblemError if there is none, or there can be none of this name."""
    runtime.registry.check_followed()
    streams = runtime.registry.fold.streams
    stream = streams.get(name)
    if stream is not None:
        return stream
    if wrong := wrong_model_name(name):
        raise ProblemError(422, "invalid-value", wrong)
    raise refused(unknown_model(streams, name))


def version_of(stream: Stream, version: str) -> VersionState:
    """Return a version as a client names it. ProblemError if there is none."""
    return stream.state.versions[found(version_named(stream.state, version))]


def context_of(runtime: ApiRuntime, headers: CommandHeaders, *, expected_sequence: int | None = None) -> CommandContext:
    """Return what commands have in common: who asks, and an id that is new unless a header says it."""
    return command_context(headers, CommandBody(expected_sequence=expected_sequence), runtime.services.ids)


async def sent(
    runtime: ApiRuntime, headers: CommandHeaders, command_type: type[Command], name: str, **fields: Any
) -> CommandAnswer:
    """Send a command on a model. ProblemError if it is refused."""
    context = context_of(runtime, headers)
    command = command_type(model_name=name, **fields, **context.fields())
    answer: CommandAnswer = (await handled(runtime, context, command)).content  # type: ignore[arg-type]
    return answer


def described(description: str) -> dict[str, Any]:
    """Return the fields of a `TagModel` that describes something in these words; empty: in none."""
    return {"tags": {DESCRIPTION_TAG: description}} if description else {"removed": (DESCRIPTION_TAG,)}


def not_carried(what: str, instead: str) -> ProblemError:
    """Return the problem for what MLflow has and this registry has not."""
    return ProblemError(501, "not-carried", f"{what}; {instead}")


def missing_alias(name: str, alias: str, there: tuple[str, ...]) -> ProblemError:
    """Return the problem for an alias that points at nothing."""
    reason = f"{name!r} has no alias {alias[:100]!r}; it has {', '.join(there) or 'none yet'}"
    return refused(Refusal(code="unknown-version", reason=reason, legal=there))
