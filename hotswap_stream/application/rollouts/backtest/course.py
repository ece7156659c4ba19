"""How rollouts went, as the log tells: the state each began in, and all that happened to it."""

from datetime import datetime

from msgspec import Struct

from hotswap_events.envelope import Envelope
from hotswap_events.rollouts.events import ROLLOUT_EVENT_TYPES, RolloutBakeEnded, RolloutCompleted, RolloutStarted
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.registry.fold import Applied, RegistryFold
from hotswap_stream.domain.state.model import ModelState

COURSES_KEPT_MAX = 1_000

_ROLLOUT_EVENTS = tuple(ROLLOUT_EVENT_TYPES.values())


class RolloutCourse(Struct, kw_only=True):
    """One rollout.

    `begun` is the state after the decision that began it; `events` are those of all decisions on the rollout, with what
    they did to its versions.
    """

    rollout_id: str
    begun: ModelState
    started_at: datetime
    events: list[Envelope]
    ended_at: datetime | None = None
    """When it was promoted or aborted; the bake comes after that."""
    outcome: str | None = None


async def rollout_courses(log: RegistryLog, model_name: str) -> list[RolloutCourse]:
    """Return the rollouts of a model, oldest first; the last 1,000. LogUnavailableError."""
    fold, courses = RegistryFold(), list[RolloutCourse]()
    async for page in log.read(0, await log.end_offset()):
        for record in page:
            outcome = fold.apply(record)
            if isinstance(outcome, Applied) and outcome.event.subject == model_name:
                _take(courses, outcome.event, fold)
    return courses[-COURSES_KEPT_MAX:]


def _take(courses: list[RolloutCourse], event: Envelope, fold: RegistryFold) -> None:
    data = event.data
    if isinstance(data, RolloutStarted):
        begun = fold.state(event.subject).copy()
        courses.append(RolloutCourse(rollout_id=data.rollout_id, begun=begun, started_at=event.time, events=[event]))
        return
    if not courses:
        return
    course = courses[-1]
    if event.causationid == course.events[0].causationid:
        course.begun = fold.state(event.subject).copy()
    of_rollout = isinstance(data, _ROLLOUT_EVENTS) and getattr(data, "rollout_id", None) == course.rollout_id
    if of_rollout or event.causationid == course.events[-1].causationid:
        course.events.append(event)
        if isinstance(data, RolloutCompleted):
            course.ended_at, course.outcome = event.time, data.outcome
        elif isinstance(data, RolloutBakeEnded) and data.outcome != "kept":
            course.outcome = data.outcome
