"""Rollouts by the command topic: the way the outcomes of analyses come in, and what the state topic says of them."""

from pathlib import Path

from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from tests.support.samples.registry import register, validate
from tests.support.samples.rollouts import (
    EVIDENCE,
    WITHOUT_SHADOW,
    analysis,
    progressive,
    record_analysis,
    set_weight,
    start_rollout,
)
from tests.support.stages.agents import agents_stage

BY_ERRORS = replace(WITHOUT_SHADOW, promote_on_operational=True)


async def test_an_analysis_promotes_by_the_topic_and_a_late_one_changes_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path) as stage:
        found = {"rollout_id": "r1", "step_index": 1, "evidence": EVIDENCE}
        commands: list[AnyCommand] = [
            register(command_id="c1"),
            validate("v1", command_id="c2", promote_first=True),
            register(command_id="c3"),
            validate("v2", 0.97, ("v1", 0.97), command_id="c4"),
            start_rollout(progressive(set_weight(500), analysis()), "v2", policy=BY_ERRORS, command_id="c5"),
            record_analysis("successful", 7, command_id="c6", **found),
            record_analysis("failed", 7, command_id="c7", rollout_id="r1"),
            record_analysis("failed", 8, command_id="c8", **found),
        ]
        await stage.send(commands)
        results = {command_id: answers[0] for command_id, answers in (await stage.results(
            [f"c{number}" for number in range(1, 9)]
        )).items()}  # fmt: skip
        assert (results["c5"].status, results["c5"].rollout_id) == ("accepted", "r1")
        assert (results["c6"].model_version, results["c6"].previous_version) == ("v2", "v1")
        assert (results["c7"].status, results["c8"].status) == ("unchanged", "refused")
        assert results["c8"].refusal is not None
        assert results["c8"].refusal.code == "conflict"
        published = (await stage.published_like_the_fold())["digits"][-1]
        assert published.active_version == "v2"
        assert published.rollout is not None
        assert (published.rollout.status, published.rollout.analyses[-1].evidence) == ("baking", EVIDENCE)
