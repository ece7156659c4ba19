"""Why an answer came from its version: the event that chose it, who made it and why, and how to compute it again."""

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC, UnknownEvent, UnreadableEvent
from hotswap_events.inference.messages import WindowFacts
from hotswap_stream.application.alerts.view import raised_alerts
from hotswap_stream.application.descriptions.event import describe
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.observations.feedback import AnswerLookup, FoundAnswer
from hotswap_stream.application.registry.as_of import OffsetNotReachedError, RegistryAsOf
from hotswap_stream.domain.serving.request_plan import request_plan, versions_allowed
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.errors import HotswapError

MODELS_SEARCHED_MAX = 20
"""The largest number of models looked through for an id alone; where there are more, the model must be named."""

Reason = Literal["in-production", "arm-of-rollout", "named-by-request", "stands-in", "other", "refused"]


class UnknownAnswerError(HotswapError):
    """There is no such answer where it was looked for; the message says where that was."""


class ModelNotNamedError(HotswapError):
    """There are too many models to look through all of them for an id."""


class ArmOfAnswer(Struct, frozen=True, kw_only=True):
    """The arm of a rollout that the request was in."""

    rollout_id: str
    role: Literal["baseline", "candidate"]
    weight: int
    """Its part of the traffic, of 10,000."""


class ChoosingEvent(Struct, frozen=True, kw_only=True):
    """The event that last changed which version answers."""

    offset: int
    type: str | None = None
    time: datetime | None = None
    actor: str | None = None
    reason: str | None = None
    words: str
    """All of it in one line."""


class ExplainedAnswer(Struct, frozen=True, kw_only=True):
    """One answer, and the way to what chose it."""

    model_name: str
    request_partition: int
    request_offset: int
    request_id: str | None
    answered_at: datetime
    """By the broker's clock."""
    ok: bool
    """Whether it is no error."""
    error_code: str | None = None
    """Why it is an error."""
    error: str | None = None
    """The same in words."""
    window: WindowFacts | None = None
    """The steps of its series that it was made of, of a version that takes windows."""
    worker: str
    model_version: str | None
    """None: it was refused before a version was chosen."""
    artifact_digest: str | None
    """Digest of the version's weights, as the worker says."""
    registered_digest: str | None
    """Digest of the version's weights, as the log said then."""
    because: Reason
    """`in-production`, `arm-of-rollout`, `named-by-request`, `stands-in` for a version whose circuit is not closed;
    `other`: a probe, or nothing that the log tells."""
    stands_in_for: str | None
    arm: ArmOfAnswer | None
    follows_the_log: bool | None
    """Whether the log allowed that version then, with those weights; None where nothing was chosen."""
    chosen_by: ChoosingEvent | None
    compute_again: str | None
    """The command that computes it again and compares, bit for bit; None where nothing was computed."""
    alerts: tuple[str, ...] = ()
    """Alerts of the model that are raised now, in a few words each."""


async def find_answer_by_id(
    lookup: AnswerLookup, request_id: str, *, models: Sequence[str], model_name: str | None = None
) -> tuple[str, FoundAnswer]:
    """Return the model and the answer to the newest request with this id.

    Args:
        lookup: Finds answers. It knows the newest ones of each model by their ids.
        request_id: The id that the request brought.
        models: The models there are.
        model_name: The only one to look through; None: all.

    Raises:
        UnknownAnswerError: None of those answers has this id.
        ModelNotNamedError: No model is named, and there are more than `MODELS_SEARCHED_MAX`.
        HotswapError: The topics cannot be read.
    """
    searched = list(models) if model_name is None else [model_name]
    if len(searched) > MODELS_SEARCHED_MAX:
        raise ModelNotNamedError(
            f"there are {len(searched)} models, and at most {MODELS_SEARCHED_MAX} are looked through for an id: name "
            "the model"
        )
    for name in searched:
        found = await lookup.by_id(name, request_id)
        if found is not None:
            return name, found
    raise UnknownAnswerError(
        f"no answer to a request with the id {request_id[:100]!r} is among the newest of "
        f"{', '.join(searched) or 'no model'}, which alone are found by id; ask by the partition and offset of the "
        "request, which the answer's parameters hold"
    )


async def find_answer_at(
    lookup: AnswerLookup, model_name: str, request_partition: int, request_offset: int
) -> FoundAnswer:
    """Return the answer to the request at this place.

    Raises:
        UnknownAnswerError: There is none, or not yet.
        AnswerExpiredError: It was there, and is no longer kept.
        HotswapError: The topic cannot be read.
    """
    found = await lookup.by_place(model_name, request_partition, request_offset)
    if found is None:
        raise UnknownAnswerError(
            f"there is no answer of {model_name!r} to a request at offset {request_offset} of partition "
            f"{request_partition}: there is no such request, or it waits"
        )
    return found


async def explain_answer(
    model_name: str,
    answer: FoundAnswer,
    *,
    log: RegistryLog,
    as_of: RegistryAsOf,
    now: ModelState | None,
    client: str | None = None,
) -> ExplainedAnswer:
    """Return what the log says of an answer.

    Args:
        model_name: Whose answer it is.
        answer: As it was found.
        log: The registry log, started.
        as_of: Replays that log.
        now: The model as it is now, if it is known.
        client: Who asks, for a fair share of the replays.

    Raises:
        HotswapError: The log cannot be read, or too many replays wait.
    """
    state, chosen_by = None, None
    if answer.registry_offset is not None:
        try:
            streams = await as_of.at_offset(answer.registry_offset, client)
        except OffsetNotReachedError:
            streams = {}
        stream = streams.get(model_name)
        state = None if stream is None else stream.state
        chosen_by = await _event_at(log, answer.registry_offset)
    version = None if state is None or answer.model_version is None else state.versions.get(answer.model_version)
    registered = None if version is None else version.artifact.digest
    arm = None if state is None else _arm(state, answer)
    computed = answer.ok and answer.artifact_digest is not None and answer.registry_offset is not None
    place = f"--partition {answer.request_partition} --offset {answer.request_offset}"
    return ExplainedAnswer(
        model_name=model_name,
        request_partition=answer.request_partition,
        request_offset=answer.request_offset,
        request_id=answer.request_id,
        answered_at=datetime.fromtimestamp(answer.answered_at_ms / 1000, UTC),
        ok=answer.ok,
        error_code=answer.error_code,
        error=answer.error,
        window=answer.window,
        worker=answer.worker,
        model_version=answer.model_version,
        artifact_digest=answer.artifact_digest,
        registered_digest=registered,
        because=_reason(state, answer, arm),
        stands_in_for=answer.fallback_for,
        arm=arm,
        follows_the_log=_follows(state, answer, registered),
        chosen_by=chosen_by,
        compute_again=f"hotswap-stream audit reproduce {shlex.quote(model_name)} {place}" if computed else None,
        alerts=() if now is None else tuple(each.summary for each in raised_alerts(now)),
    )


def _reason(state: ModelState | None, answer: FoundAnswer, arm: ArmOfAnswer | None) -> Reason:
    if answer.model_version is None:
        return "refused"
    if answer.pinned:
        return "named-by-request"
    if answer.fallback_for is not None:
        return "stands-in"
    if arm is not None:
        return "arm-of-rollout"
    return "in-production" if state is not None and state.active_version == answer.model_version else "other"


def _arm(state: ModelState, answer: FoundAnswer) -> ArmOfAnswer | None:
    """Return the arm that the request was in; where another version stood in, that of the version it stood in for."""
    rollout, split = state.rollout, request_plan(state).split
    wanted = answer.fallback_for or answer.model_version
    if rollout is None or answer.pinned or len(split.arms) < 2:
        return None
    for arm in split.arms:
        if arm.model_version == wanted:
            role: Literal["baseline", "candidate"] = "baseline" if wanted == rollout.baseline_version else "candidate"
            return ArmOfAnswer(rollout_id=rollout.rollout_id, role=role, weight=arm.weight)
    return None


def _follows(state: ModelState | None, answer: FoundAnswer, registered: str | None) -> bool | None:
    if answer.model_version is None or answer.registry_offset is None:
        return None
    if state is None or registered is None or answer.artifact_digest not in (None, registered):
        return False
    return answer.pinned or answer.model_version in versions_allowed(state)


async def _event_at(log: RegistryLog, offset: int) -> ChoosingEvent:
    async for page in log.read(offset, offset + 1):
        for record in page:
            event = REGISTRY_CODEC.decode(record.value)
            if isinstance(event, UnreadableEvent):
                return ChoosingEvent(offset=offset, words=f"cannot be read: {event.cause}")
            header = event.header if isinstance(event, UnknownEvent) else event
            known = None if isinstance(event, UnknownEvent) else REGISTRY_CODEC.type_names[type(event.data)]
            return ChoosingEvent(
                offset=offset,
                type=known or getattr(header, "type", None),
                time=header.time,
                actor=header.actor,
                reason=header.reason,
                words=describe(event),
            )
    return ChoosingEvent(offset=offset, words="the log holds no record there")
