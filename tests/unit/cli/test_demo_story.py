"""The lines that the demo prints of a rollout, from events as they are in the log."""

from datetime import UTC, datetime

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import GENESIS, Envelope
from hotswap_events.registry.events import ModelPromoted, RegistryEvent
from hotswap_events.rollouts.events import (
    MetricEvidence,
    RolloutAnalysisRecorded,
    RolloutCompleted,
    RolloutStarted,
    RolloutStepEntered,
    RolloutWeightsSet,
)
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    Arm,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
)
from hotswap_stream.cli.demo.rollout_story import Story
from hotswap_stream.cli.demo.scene import AppliedEntry

STRATEGY = ProgressiveStrategy(steps=(SetWeightStep(weight=1_000), AnalysisStep(), PauseStep(duration_seconds=3)))


def entry(
    data: RegistryEvent, at_ms: int, *, actor: str = "rollout-analysis", reason: str | None = None
) -> AppliedEntry:
    event: Envelope = REGISTRY_CODEC.envelope(
        data,
        id=f"e{at_ms}",
        source="/test",
        subject="digits",
        time=datetime.fromtimestamp(at_ms / 1000, tz=UTC),
        sequence=1,
        previous=GENESIS,
        actor=actor,
        reason=reason,
        causationid="c",
        correlationid="c",
    )
    return AppliedEntry(at_ms, at_ms, event)


def test_a_story_begins_with_the_start_and_says_who_did_what_and_why() -> None:
    told: list[str] = []
    story = Story(told.append)
    start = RolloutStarted(
        rollout_id="r1",
        strategy=STRATEGY,
        baseline_version="v1",
        candidates=("v2",),
        salt="s",
        policy=RolloutPolicy(),
    )
    weights = RolloutWeightsSet(
        rollout_id="r1", arms=(Arm(model_version="v1", weight=9_000), Arm(model_version="v2", weight=1_000))
    )
    evidence = MetricEvidence(
        metric="accuracy", model_version="v2", outcome="successful", count=1_040, value=0.975, baseline_value=0.95
    )
    unknown = MetricEvidence(metric="accuracy", model_version="v2", outcome="inconclusive", count=0)
    for each in (
        entry(weights, 900),
        entry(start, 1_000, actor="demo", reason="step by step"),
        entry(RolloutStepEntered(rollout_id="r1", step_index=0), 1_000, actor="demo"),
        entry(weights, 1_000, actor="demo", reason="step by step"),
        entry(RolloutStepEntered(rollout_id="r1", step_index=1), 1_050, actor="demo"),
        entry(RolloutAnalysisRecorded(rollout_id="r1", outcome="successful", watermark=1, evidence=(evidence,)), 4_260),
        entry(
            RolloutAnalysisRecorded(rollout_id="r1", outcome="inconclusive", watermark=2, evidence=(unknown,)), 5_000
        ),
        entry(RolloutCompleted(rollout_id="r1", outcome="promoted", bake_seconds=2), 6_000, reason="good enough"),
        entry(ModelPromoted(model_version="v2", artifact_digest="sha256:0", previous_version="v1"), 6_000),
    ):
        story.take(each)
    story.add("seen elsewhere")
    assert story.lines == told
    assert told == [
        '  0.0 s  demo: start r1, v2 against v1: progressive: 10 %, analysis, pause 3 s "step by step"',
        "  0.0 s  demo: the users get v1 90 %, v2 10 %",
        "  0.1 s  demo: step 2 of 3: analysis",
        "  3.3 s  rollout-analysis: successful: accuracy of v2 97.5%, baseline 95.0%, by 1,040 labels",
        "  4.0 s  rollout-analysis: inconclusive: accuracy of v2 not known, by 0 labels",
        "  5.0 s  rollout-analysis: end r1: promoted, it bakes for 2 s",
        "  5.0 s  rollout-analysis: v2 into production, in place of v1",
        "         seen elsewhere",
    ]
