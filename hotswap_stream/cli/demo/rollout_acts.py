"""The acts of the demo about rollouts: shadow, canary, progressive. The agents end them, by what is observed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from math import ceil
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from hotswap_events.registry.events import ModelPromoted
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    CanaryStrategy,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
    ShadowStrategy,
    Strategy,
)
from hotswap_stream import bootstrap
from hotswap_stream.cli.demo.course import Course, course_of
from hotswap_stream.cli.demo.labels import Labels, telling_labels
from hotswap_stream.cli.demo.loyalty import users_of_two, users_sent_back
from hotswap_stream.cli.demo.report import Act
from hotswap_stream.cli.demo.rollout_story import Story
from hotswap_stream.cli.demo.scene import ACTOR, EVENT_SECONDS_MAX, MODEL, Scene, refusal
from hotswap_stream.cli.demo.shadow_pairs import shadow_pairs
from hotswap_stream.cli.demo.traffic import USERS, Seen
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR as ANALYSIS

ANALYSIS_REQUESTS_MAX = 4_000
"""Budget of each analysis: the time that this number of requests takes. A tenth of them is plenty where labels come
back."""
ANALYSIS_SECONDS_MIN = 40

SHADOW_POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="agreement", threshold=0.85),),
    answers_min=200,
    auto_promote=False,
)
CANARY_POLICY = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.1),), answers_min=40)
CANARY_WEIGHT = 1_000
PROGRESSIVE_POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="accuracy", margin=0.1),),
    answers_min=40,
    bake_seconds=2,
)
PROGRESSIVE_STEPS = (
    SetWeightStep(weight=1_000),
    AnalysisStep(),
    SetWeightStep(weight=5_000),
    AnalysisStep(),
    SetWeightStep(weight=10_000),
    PauseStep(duration_seconds=1),
)


class RolloutActs:
    """Plays on a scene, one act at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def shadow(self) -> Act:
        """A better version computes every answer beside the active one, and nobody gets what it says."""
        scene, name = self._scene, "shadow a version, and cancel"
        version, active = await scene.better_version(), scene.state.active_version
        if scene.state.versions[version].stage == "archived":  # since it was rolled back in an emergency
            staged = await scene.post(f"/versions/{version}/stage", {"reason": "it may earn its way back"})
            if refused := refusal(staged):
                return scene.act(name, refused, False, None)
        since = scene.last_offset
        with self._story() as story:
            refused = await self._start(ShadowStrategy(), version, SHADOW_POLICY, "what would it have said?")
            await self._until_it_stands_still()
            rollout = scene.state.rollout
            if refused or rollout is None or rollout.pause_cause != "waiting-for-promotion":
                return self._unfinished(name, refused, story)
            pairs = await shadow_pairs(scene.settings, MODEL, rollout)
            skipped = f", {pairs.skipped} left out for lack of time" if pairs.skipped else ""
            story.add(f"{scene.topics.observations}: {pairs.compared} pairs compared, {pairs.agreed} agree{skipped}")
            story.add(f"{scene.topics.comparisons}: {len(pairs.shown)} of them with both outputs")
            # The policy leaves success to a person, who wants to see the version with users first.
            cancel = {"rollout_id": rollout.rollout_id, "archive": False, "reason": "seen enough, now with users"}
            refused = refusal(await scene.post("/rollout/abort", cancel))
            course = await self._course(since)
        if refused or course is None:
            return self._unfinished(name, refused, story)
        served = sum(seen.model_version == version for seen in self._answers(course))
        held = (
            pairs.compared >= SHADOW_POLICY.answers_min
            and {(pair.primary_version, pair.shadow_version) for pair in pairs.shown} == {(active, version)}
            and served == 0
            and course.rollout.status == "aborted"
            and scene.state.active_version == active
            and scene.state.versions[version].stage != "archived"
        )
        return scene.act(
            name,
            f"{version} beside {active}: {pairs.compared} pairs, {pairs.agreement:.1%} agree; "
            f"answers by {version}: {served}",
            held,
            course.ended.offset,
            story=tuple(story.lines),
            figures={
                "pairs": pairs.compared,
                "agreement": round(pairs.agreement, 4),
                "skipped": pairs.skipped,
                "pairs_with_outputs": len(pairs.shown),
                "answers_by_the_shadow": served,
            },
        )

    async def canary(self) -> Act:
        """Force the version trained on inverted labels on 10 % of the users: labels come back, the agents end it."""
        scene, name = self._scene, "force a bad version on 10 % of the users"
        inverted, active = await scene.inverted_version(), scene.state.active_version
        # Validation archived it, and what is archived for that stays so: who insists has to register it anew.
        digest = scene.state.versions[inverted].artifact.digest
        insisting = {"artifact_digest": digest, "reason": "validation must be wrong"}
        registered = await scene.post("/versions", insisting)
        if refused := refusal(registered):
            return scene.act(name, refused, False, None)
        version, since = str(registered.json()["model_version"]), scene.last_offset
        with self._story() as story:
            async with self._labels() as labels:
                refused = await self._start(
                    CanaryStrategy(weight=CANARY_WEIGHT), version, CANARY_POLICY, "users will like it", forced=True
                )
                await self._until_it_stands_still()
            course = None if refused else await self._course(since)
        if course is None:
            return self._unfinished(name, refused, story)
        answers = self._answers(course)
        given = [seen for seen in answers if seen.model_version == version]
        wrong, users = sum(not seen.right for seen in given), len({seen.user for seen in given})
        strayed = users_of_two(answers)
        held = (
            course.rollout.status == "aborted"
            and scene.state.versions[version].stage == "archived"
            and scene.state.active_version == active
            and course.decided_by == {ANALYSIS}
            and 0 < users < USERS / 2
            and not strayed
        )
        return scene.act(
            name,
            f"{version}: {len(given)} answers to {users} of {USERS} users, {wrong} wrong; "
            f"aborted, archived by itself in {course.seconds:.1f} s",
            held,
            course.ended.offset,
            story=tuple(story.lines),
            figures={
                "answers": len(given),
                "wrong": wrong,
                "users": users,
                "users_who_met_two_versions": len(strayed),
                "labels": labels.told,
                "seconds": round(course.seconds, 1),
            },
        )

    async def progressive(self) -> Act:
        """A good version earns 10, 50, 100 % of the users by labels, and is promoted by itself."""
        scene, name = self._scene, "a good version earns 10, 50, 100 % of them"
        version = await scene.better_version()
        since = scene.last_offset
        with self._story() as story:
            async with self._labels() as labels:
                strategy = ProgressiveStrategy(steps=PROGRESSIVE_STEPS)
                refused = await self._start(strategy, version, PROGRESSIVE_POLICY, "step by step")
                await self._until_it_stands_still()
            course = None if refused else await self._course(since)
        if course is None:
            return self._unfinished(name, refused, story)
        answers = self._answers(course)
        strayed = users_of_two(answers) | users_sent_back(answers, version)
        swapped = await scene.swapped(ModelPromoted, version, since)
        held = (
            course.rollout.status == "promoted"
            and swapped
            and scene.state.active_version == version
            and course.decided_by == {ANALYSIS}
            and {analysis.outcome for analysis in course.rollout.analyses} == {"successful"}
            and not strayed
        )
        return scene.act(
            name,
            f"{version} promoted by itself in {course.seconds:.1f} s, {labels.told} labels; "
            f"users who lost it on the way: {len(strayed)}",
            held,
            course.ended.offset,
            story=tuple(story.lines),
            figures={
                "seconds": round(course.seconds, 1),
                "labels": labels.told,
                "users": len({seen.user for seen in answers}),
                "users_who_lost_it": len(strayed),
            },
        )

    @property
    def _analysis_seconds_max(self) -> int:
        return max(ANALYSIS_SECONDS_MIN, ceil(ANALYSIS_REQUESTS_MAX / self._scene.traffic.rate_per_second))

    @contextmanager
    def _story(self) -> Iterator[Story]:
        story = Story(self._scene.tell)
        unlisten = self._scene.listen(story.take)
        try:
            yield story
        finally:
            unlisten()

    @asynccontextmanager
    async def _labels(self) -> AsyncIterator[Labels]:
        async with (
            bootstrap.feedback_log(self._scene.settings) as log,
            telling_labels(self._scene.traffic, log, MODEL, ACTOR) as labels,
        ):
            yield labels

    async def _start(
        self, strategy: Strategy, candidate: str, policy: RolloutPolicy, reason: str, *, forced: bool = False
    ) -> str:
        """Start a rollout over HTTP, as any client would. Return why it was refused; empty: it was not."""
        body: dict[str, Any] = {
            "strategy": to_builtins(strategy),
            "candidates": [candidate],
            "policy": to_builtins(replace(policy, seconds_max=self._analysis_seconds_max)),
            "forced": forced,
            "reason": reason,
        }
        response = await self._scene.post("/rollout", body)
        if refused := refusal(response):
            return refused
        await self._scene.registry.wait_for_offset(int(response.json()["offset"]) + 1)
        return ""

    async def _until_it_stands_still(self) -> None:
        """Wait until it is over, with its bake, or paused for a person; or as long as it may take."""
        with suppress(TimeoutError):
            # No rollout here has more than two analyses.
            async with asyncio.timeout(2 * self._analysis_seconds_max + EVENT_SECONDS_MAX):
                while (rollout := self._scene.state.rollout) is not None and rollout.status != "paused":
                    await self._scene.registry.wait_for_change()

    async def _course(self, since: int) -> Course | None:
        """Return the rollout, when it is over and all answers that it chose are read; None if it goes on."""
        scene = self._scene
        with suppress(TimeoutError):
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                while scene.state.rollout is not None:
                    await scene.registry.wait_for_change()
        if scene.state.rollout is not None:
            return None
        course = course_of(scene.state.rollout_history[-1], scene.entries, since=since)
        with suppress(TimeoutError):  # what is not there by then is counted as lost in the end
            await scene.traffic.wait_moved_on(course.ended.offset)
        return course

    def _answers(self, course: Course) -> list[Seen]:
        """Return the answers that the rollout chose."""
        first, end = course.began.offset, course.ended.offset
        return [seen for seen in self._scene.traffic.seen if first <= seen.registry_offset < end]

    def _unfinished(self, name: str, refused: str, story: Story) -> Act:
        rollout = self._scene.state.rollout
        status = "over, against expectation" if rollout is None else rollout.pause_cause or f"still {rollout.status}"
        outcome = refused or f"the rollout is {status}"
        return self._scene.act(name, outcome, False, None, story=tuple(story.lines))
