"""Feedback on answers: what turned out later."""

from datetime import datetime
from typing import Annotated, Any

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from hotswap_events.bounds import Index, Name, Offset, Partition
from hotswap_events.inference.observation import Feedback, FeedbackId, Items, Reward, TrueValue
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import ProblemError, found
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.observations.feedback import FEEDBACK_AT_ONCE_MAX, FeedbackRefusedError
from hotswap_stream.application.registry.queries import find_model


class FeedbackItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About one answer, named by its request's partition and offset or by the request's id."""

    request_partition: Partition | None = None
    """As `parameters` of the answer has it; with `request_offset`."""
    request_offset: Offset | None = None
    request_id: FeedbackId | None = None
    """Found among the newest answers only; the partition and the offset are surer."""
    label: Index | None = None
    """The true class: the index of the score that should have been the largest."""
    reward: Reward | None = None
    """How good the answer was: higher is better."""
    value: TrueValue | None = None
    """What the answer should have said: the true number, or as many as its first output holds, row-major."""
    items: Items = ()
    """What was clicked or chosen of what the answer ranks: indexes of its scores, or the items themselves where its
    first output lists them."""
    model_version: Name | None = None
    """The version that answered, as far as the sender knows."""
    feedback_id: FeedbackId | None = None
    """The same id again is the same feedback, sent twice. Default: a new one."""
    at: Annotated[datetime, Meta(tz=True)] | None = None
    """When it was known; default: now."""
    parameters: dict[str, Any] = {}
    """Whatever else belongs to it."""


class FeedbackBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One or many."""

    feedback: Annotated[tuple[FeedbackItem, ...], Meta(min_length=1, max_length=FEEDBACK_AT_ONCE_MAX)]


class FeedbackTaken(Struct, frozen=True, kw_only=True):
    """It is in the topic; what it is about is found out later."""

    accepted: int
    feedback_ids: tuple[str, ...]
    """In the order of the body."""


@post(
    "/api/models/{model_name:str}/feedback",
    status_code=202,
    operation_id="give_feedback",
    opt=needs("infer"),
    tags=["inference"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses={status: PROBLEM_RESPONSES[status] for status in (400, 401, 403, 404, 413, 415, 422, 503)},
)
async def give_feedback(
    runtime: Runtime, command_headers: Headers, model_name: ModelNameInPath, data: JSONBody[FeedbackBody]
) -> FeedbackTaken:
    """Say what the true class or number was, what was chosen, or how good it was; days later is early enough."""
    services = runtime.services
    found(find_model(runtime.registry.fold.streams, model_name))
    if services.feedback is None:
        raise ProblemError(503, "not-ready", "this server has no way to the feedback topic")
    require_broker(runtime)
    now, key = services.clock.now(), command_headers.idempotency_key
    records = []
    for number, item in enumerate(data.feedback):
        # The same body sent again with the same key is the same feedback.
        feedback_id = item.feedback_id or (f"{key}:{number}" if key else services.ids.new_id())
        try:
            record = Feedback(
                model_name=model_name,
                feedback_id=feedback_id,
                at=item.at or now,
                request_partition=item.request_partition,
                request_offset=item.request_offset,
                request_id=item.request_id,
                model_version=item.model_version,
                label=item.label,
                reward=item.reward,
                value=item.value,
                items=item.items,
                actor=command_headers.actor,
                parameters=item.parameters,
            )
        except ValueError as error:
            raise ProblemError(422, "invalid-value", f"feedback[{number}]: {error}") from error
        records.append(record)
    try:
        await services.feedback.append(records)
    except FeedbackRefusedError as error:
        raise ProblemError(422, "invalid-value", str(error)) from error
    return FeedbackTaken(accepted=len(records), feedback_ids=tuple(record.feedback_id for record in records))
