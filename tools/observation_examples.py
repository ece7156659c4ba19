"""Examples of what is observed of answers, and of feedback on them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from hotswap_events.inference.messages import InferTensor
from hotswap_events.inference.observation import Comparison, Feedback, LatencyCounts, Observation, Sums
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.rollouts.strategy import Arm

_TIME = datetime(2026, 1, 2, 3, 34, 5, tzinfo=UTC)
_RUN = "0198a1b2c3d47e6f8a9b0c1d2e3f4a5b"


def _scores(values: list[float]) -> tuple[InferTensor, ...]:
    return (InferTensor(name="scores", shape=[1, len(values)], datatype="FP32", data=values),)


def observation_examples() -> dict[str, Sequence[Struct]]:
    """Return message name → examples: answers of a canary and a shadow, a compared pair, a label and a reward."""
    return {
        "hotswap.observation": (
            Observation(
                worker="worker-1",
                worker_run=_RUN,
                sequence=41,
                model_name="digits",
                model_version="v2",
                role="primary",
                rollout_id="r1",
                since=_TIME,
                until=_TIME + timedelta(seconds=1),
                answers=98,
                errors={"model-failure": 2},
                rows=98,
                compute=LatencyCounts(buckets={-1: 60, 0: 38}, total_ms=91.3),
                total=LatencyCounts(buckets={12: 71, 13: 27}, total_ms=285.1, slow=3),
                slow_ms=50.0,
                labels={0: 11, 1: 87},
                score=Sums(98, 91.2, 85.4),
                input=Sums(40, 12.1, 3.7),
            ),
            Observation(
                worker="worker-1",
                worker_run=_RUN,
                sequence=42,
                model_name="digits",
                model_version="v3",
                role="shadow",
                rollout_id="r2",
                since=_TIME,
                until=_TIME + timedelta(seconds=1),
                answers=90,
                rows=90,
                compute=LatencyCounts(buckets={2: 90}, total_ms=106.0),
                labels={0: 10, 1: 80},
                agreed=89,
                disagreed=1,
                skipped=10,
                score=Sums(90, 84.0, 79.9),
                score_difference=Sums(90, 0.9, 0.4),
            ),
        ),
        "hotswap.comparison": (
            Comparison(
                model_name="digits",
                rollout_id="r2",
                worker="worker-1",
                request_partition=3,
                request_offset=41_872,
                request_id="r-1",
                at=_TIME,
                primary_version="v2",
                shadow_version="v3",
                agree=False,
                primary_compute_ms=0.9,
                shadow_compute_ms=1.2,
                primary_outputs=_scores([0.1, 0.7, 0.2]),
                shadow_outputs=_scores([0.5, 0.3, 0.2]),
            ),
        ),
        "hotswap.evidence": (
            RolloutEvidence(
                model_name="digits",
                rollout_id="r3",
                metric="accuracy",
                model_version="v2",
                baseline_version="v1",
                verdict="undecided",
                at=_TIME,
                registry_offset=812,
                watermark=40_311,
                status="running",
                arms=(Arm(model_version="v1", weight=9_000), Arm(model_version="v2", weight=1_000)),
                step_index=1,
                steps=6,
                count=1_044,
                value=0.951,
                baseline_count=9_377,
                baseline_value=0.945,
                estimate=0.006,
                lower=-0.009,
                upper=0.021,
                limit=-0.02,
                harm_limit=0.0,
                p_value=0.34,
                margin=0.02,
                figures={"alpha": 0.05, "log_e_worse": -1.2, "log_e_not_worse": 1.1, "log_e_better": -0.3},
                answers=1_044,
                answers_max=5_000,
                answers_min=500,
                seconds=61.0,
                seconds_max=100.0,
                budget_used=0.61,
            ),
        ),
        "hotswap.feedback": (
            Feedback(
                model_name="digits",
                feedback_id="f-1",
                at=_TIME + timedelta(hours=2),
                request_partition=3,
                request_offset=41_872,
                model_version="v2",
                label=1,
                actor="ada",
            ),
            Feedback(
                model_name="digits", feedback_id="f-2", at=_TIME + timedelta(days=1), request_id="r-1", reward=0.5
            ),
            Feedback(
                model_name="demand",
                feedback_id="f-3",
                at=_TIME + timedelta(days=1),
                request_partition=0,
                request_offset=7,
                value=(12.5, 13.0),
            ),
            Feedback(
                model_name="shelf", feedback_id="f-4", at=_TIME + timedelta(days=1), request_id="r-2", items=(17, 4)
            ),
        ),
    }
