"""The table of what may be asked of a rollout, drawn from the rules themselves."""

from datetime import UTC, datetime

from msgspec.structs import replace

from hotswap_events.rollouts.strategy import (
    DEFAULT_ROLLOUT_POLICY,
    AnalysisStep,
    CanaryStrategy,
    PauseStep,
    ProgressiveStrategy,
)
from hotswap_stream.domain.rollouts.refusals import legal_rollout_steps
from hotswap_stream.domain.state.rollout import RolloutState, baseline_arms
from tools.markdown import code

_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def rollout_rows() -> list[tuple[str, str, str]]:
    """Return a row for each strategy and status: strategy, status, legal steps."""
    plain = RolloutState(
        "r1",
        "running",
        CanaryStrategy(weight=500),
        DEFAULT_ROLLOUT_POLICY,
        "v1",
        ("v2",),
        "digits/r1",
        baseline_arms(("v2",), "v1"),
        False,
        _TIME,
        3,
        _TIME,
    )
    stepped = replace(plain, strategy=ProgressiveStrategy(steps=(AnalysisStep(), PauseStep())), step_index=0)
    cases: list[tuple[str, str, RolloutState | None]] = [
        ("any", "none goes on", None),
        ("progressive", "running", stepped),
        ("progressive", "running, in a pause until resumed", replace(stepped, step_index=1)),
        ("progressive", "paused", replace(stepped, status="paused", pause_cause="operator")),
        ("any other", "running", plain),
        ("any other", "paused", replace(plain, status="paused", pause_cause="inconclusive")),
        ("any", "waiting for promotion", replace(plain, status="paused", pause_cause="waiting-for-promotion")),
        ("any", "baking", replace(plain, status="baking", promoted_version="v2")),
    ]
    return [
        (strategy, status, ", ".join(map(code, legal_rollout_steps(rollout)))) for strategy, status, rollout in cases
    ]
