"""What other policies would have decided, on what was recorded."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from litestar import Request, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from hotswap_events.rollouts.strategy import CanaryStrategy, RolloutPolicy
from hotswap_events.training.policy import TrainingPolicy
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import nothing_unread
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.parameters import ModelNameInPath
from hotswap_stream.api.protocol.problems import ProblemError, found
from hotswap_stream.api.recorded_reports import of_model, reading_records
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.rollouts.backtest.backtest import BacktestReport, backtest_rollouts
from hotswap_stream.application.triggers.backtest import RUN_SECONDS, TriggerBacktest, backtest_triggers
from hotswap_stream.domain.rollouts.limits import wrong_rollout_policy

LOOKED_BACK = timedelta(days=1)
YEARS = range(1971, 9_999)
"""Times outside are nobody's, and cannot be reckoned with."""
Time = Annotated[datetime, Meta(tz=True)]


class RolloutBacktestBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which policy to try, on which rollouts."""

    policy: RolloutPolicy
    rollout_id: Annotated[str, Meta(max_length=64)] | None = None
    """Null: those of the time; without a time the one that goes on, or the last one."""
    since: Time | None = None
    """Rollouts that began then or later."""
    until: Time | None = None
    """What was recorded until then."""


class RolloutBacktest(Struct, frozen=True, kw_only=True):
    """One report for each rollout."""

    reports: tuple[BacktestReport, ...]


class TriggerBacktestBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which policy to try, on which time."""

    policy: TrainingPolicy | None = None
    """Null: the one that holds."""
    since: Time | None = None
    """Null: a day before `until`."""
    until: Time | None = None
    """Null: now."""
    run_seconds: Annotated[float, Meta(ge=0.0, le=1e9)] = RUN_SECONDS
    """How long each run is taken to go on."""


@post(
    "/api/models/{model_name:str}/rollout/backtest",
    status_code=200,
    operation_id="backtest_rollouts",
    opt=needs("read"),
    tags=["rollouts"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=PROBLEM_RESPONSES,
)
async def backtest_rollout(
    request: Request[Any, Any, Any], runtime: Runtime, model_name: ModelNameInPath, data: JSONBody[RolloutBacktestBody]
) -> RolloutBacktest:
    """What another policy would have decided in past rollouts, when, and at what cost. Nothing is changed."""
    await nothing_unread(request, data)
    _checked(data.since, data.until)
    if wrong := wrong_rollout_policy(data.policy, CanaryStrategy(weight=0)):
        raise ProblemError(422, "invalid-value", wrong)
    with reading_records(runtime) as recorded:
        of_model(runtime, model_name)
        reports = await runtime.aside.run(
            lambda log: backtest_rollouts(
                log,
                recorded,
                model_name,
                data.policy,
                rollout_id=data.rollout_id,
                since=data.since,
                until=data.until,
                answers=runtime.services.answers,
            )
        )
    return RolloutBacktest(reports=found(reports))


@post(
    "/api/models/{model_name:str}/training-policy/backtest",
    status_code=200,
    operation_id="backtest_triggers",
    opt=needs("read"),
    tags=["training"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=PROBLEM_RESPONSES,
)
async def backtest_training_policy(
    request: Request[Any, Any, Any], runtime: Runtime, model_name: ModelNameInPath, data: JSONBody[TriggerBacktestBody]
) -> TriggerBacktest:
    """What a training policy would have started on what was recorded, beside what was started. Nothing is changed."""
    await nothing_unread(request, data)
    _checked(data.since, data.until)
    policy = data.policy or runtime.registry.state(model_name).triggers.policy
    until = data.until or runtime.services.clock.now()
    since = data.since or until - LOOKED_BACK
    with reading_records(runtime) as recorded:
        of_model(runtime, model_name)
        if policy is None:
            raise ProblemError(409, "illegal-step", f"{model_name!r} has no training policy; send one to try")
        report = await runtime.aside.run(
            lambda log: backtest_triggers(
                log,
                recorded,
                model_name,
                policy,
                since=since,
                until=until,
                answers=runtime.services.answers,
                run_seconds=data.run_seconds,
            )
        )
    return found(report)


def _checked(*times: datetime | None) -> None:
    for time in times:
        if time is not None and time.year not in YEARS:
            raise ProblemError(422, "invalid-value", f"{time.isoformat()} is too far from now")
