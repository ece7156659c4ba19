"""One suite for both control planes: the cluster itself, and an API before the same log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hotswap_events.alerts.commands import AcknowledgeAlert, ClearAlert, EndAlertSnooze, SetAlertPolicy, SnoozeAlert
from hotswap_events.alerts.events import AlertPolicy
from hotswap_events.commands import (
    AnyCommand,
    ArchiveVersion,
    CancelTraining,
    ProfileVersion,
    PromoteVersion,
    Refusal,
    RequestTraining,
    RollBack,
    SetAlias,
    StageVersion,
    SwitchVersion,
    TagModel,
    ValidateVersion,
)
from hotswap_events.dataset import RequestRetention, SetRequestRetention
from hotswap_events.rollouts.commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    ResumeRollout,
    StartRollout,
)
from hotswap_events.rollouts.strategy import CanaryStrategy, PauseStep, ProgressiveStrategy, SetWeightStep
from hotswap_events.serving.commands import (
    CloseCircuit,
    DisableModel,
    EnableModel,
    HalfOpenCircuit,
    OpenCircuit,
    SetServingPolicy,
)
from hotswap_events.serving.control import ServingPolicy
from hotswap_events.training.events import AfterRollout
from hotswap_events.training.policy import ScheduleTrigger, TrainingPolicy
from hotswap_events.training.triggers import FireTrigger, SetTrainingPolicy
from hotswap_events.validation.commands import SetValidationPolicy
from hotswap_events.validation.policy import ValidationPolicy
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.inference.fleet import FleetFold
from hotswap_stream.application.observations.feedback import AnswerLookup
from hotswap_stream.application.registry.feed import EntryFilter
from hotswap_stream.application.rollouts.shown import EvidenceFold
from hotswap_stream.application.trainers.progress import ProgressFold
from hotswap_stream.cli.planes import questions, trigger_questions
from hotswap_stream.cli.planes.cluster import ClusterPlane, ClusterSources
from hotswap_stream.cli.planes.http import open_api
from hotswap_stream.cli.planes.http_reading import ApiFailedError
from hotswap_stream.cli.planes.orders import PATHS
from hotswap_stream.cli.planes.port import ControlPlane, Question
from hotswap_stream.client.errors import ApiUnreachableError
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from hotswap_stream.errors import AuthenticationError, HotswapError
from tests.support.samples.profiles import INPUT, SCORE
from tests.support.samples.recorded import EvenAnswers
from tests.support.stages.http import MODEL, HttpStage, open_http_stage, passed

CANARY = CanaryStrategy(weight=500)
CANARY_AFTER = AfterRollout(strategy=CANARY)
STEPS = ProgressiveStrategy(steps=(SetWeightStep(weight=500), PauseStep(), SetWeightStep(weight=5_000), PauseStep()))
QUESTIONS: dict[str, Question[Any]] = {
    "models": questions.models(),
    "model": questions.model(MODEL),
    "unknown model": questions.model("faces"),
    "versions": questions.versions(MODEL),
    "superseded versions": questions.versions(MODEL, "superseded"),
    "versions of an unknown model": questions.versions("faces"),
    "comparison": questions.comparison(MODEL, "v1", "v2"),
    "comparison with an unknown version": questions.comparison(MODEL, "v1", "v9"),
    "alerts": questions.alerts(),
    "critical alerts": questions.alerts("critical", ended=True),
    "alerts of a model": questions.model_alerts(MODEL, ended=True),
    "alert policy": questions.alert_policy(MODEL),
    "validation policy": questions.validation_policy(MODEL),
    "validation set": questions.validation_set(MODEL),
    "rollout": questions.rollout(MODEL),
    "rollouts": questions.rollouts(MODEL),
    "serving": questions.serving(MODEL),
    "triggers": trigger_questions.triggers(),
    "triggers of a model": trigger_questions.model_triggers(MODEL),
    "training runs": questions.runs(),
    "training runs of a model": questions.runs(MODEL, "requested"),
    "training run": questions.run(MODEL, "run-1"),
    "unknown training run": questions.run(MODEL, "run-9"),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[HttpStage]:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path, fleet=_NoWorkers(), answers=EvenAnswers()) as stage:
        await stage.promoted()
        await passed(stage)
        asked = RequestTraining(run_id="run-1", trainer="als", **common("asked"))
        assert (await stage.registry.handle(asked)).status == "accepted"
        yield stage


class _NoWorkers:
    """A fleet topic that is read to its end, and empty."""

    known = True

    def workers(self, model_name: str) -> tuple[()]:
        assert model_name
        return ()


async def _empty_fleet(_listens: bool) -> FleetFold:
    return FleetFold()


async def _unknown() -> None:
    """Say that nothing was read of the traffic."""


def _no_answers() -> AbstractAsyncContextManager[AnswerLookup]:
    return nullcontext(EvenAnswers())


async def _no_progress() -> ProgressFold:
    return ProgressFold()


def _no_store() -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url="memory://"))


async def _no_evidence() -> EvidenceFold:
    return EvidenceFold()


SOURCES = ClusterSources(
    fleet=_empty_fleet,
    health=_unknown,
    answers=_no_answers,
    artifacts=_no_store,
    progress=_no_progress,
    evidence=_no_evidence,
)


@pytest.fixture(params=["cluster", "api"])
async def plane(request: pytest.FixtureRequest, stage: HttpStage) -> AsyncIterator[ControlPlane]:
    if request.param == "cluster":
        yield ClusterPlane(stage.registry, SOURCES)
        return
    async with open_api(stage.url, None) as api:
        yield api


def common(command_id: str = "c-1", **fields: Any) -> dict[str, Any]:
    return {"command_id": command_id, "model_name": MODEL, "actor": "ada", "reason": "tried", **fields}


async def sent(plane: ControlPlane, command: AnyCommand) -> tuple[str, str | None]:
    """What became of it, and the version or the code of the refusal."""
    result = await plane.send(command)
    return result.status, result.model_version if result.refusal is None else result.refusal.code


@pytest.mark.parametrize("name", QUESTIONS)
async def test_both_planes_give_the_same_answer_now_and_of_the_past(stage: HttpStage, name: str) -> None:
    cluster, question = ClusterPlane(stage.registry, SOURCES), QUESTIONS[name]
    async with open_api(stage.url, None) as api:
        answer = await api.ask(question)
        assert answer == await cluster.ask(question)
        assert isinstance(answer, Refusal) is ("unknown" in name)
        assert await api.ask(question, 1) == await cluster.ask(question, 1)
        now = await cluster.ask(questions.model(MODEL))
        assert not isinstance(now, Refusal)
        assert await api.ask(question, now.updated_at) == await cluster.ask(question, now.updated_at)


async def test_versions_come_and_go(plane: ControlPlane) -> None:
    assert await sent(plane, StageVersion(model_version="v2", **common("1"))) == ("accepted", "v2")
    assert await sent(plane, PromoteVersion(model_version="v2", **common("2"))) == ("accepted", "v2")
    assert await sent(plane, PromoteVersion(model_version="v2", **common("2"))) == ("unchanged", "v2")
    assert await sent(plane, RollBack(cause="emergency", from_version="v2", **common("3"))) == ("accepted", "v1")
    assert await sent(plane, SwitchVersion(model_version="v2", **common("4"))) == ("accepted", "v2")
    assert await sent(plane, ArchiveVersion(model_version="v1", **common("5"))) == ("accepted", "v1")
    figures = {"accuracy": 0.9}
    late = ValidateVersion(model_version="v1", validation_set="s", figures=figures, **common("6"))
    assert await sent(plane, late) == ("refused", "illegal-step")
    assert await sent(plane, DisableModel(**common("7"))) == ("accepted", None)
    assert await sent(plane, EnableModel(**common("8"))) == ("accepted", None)
    assert await sent(plane, PromoteVersion(model_version="v9", **common("9"))) == ("refused", "unknown-version")
    state = await plane.ask(questions.model(MODEL))
    assert not isinstance(state, Refusal)
    assert (state.active_version, state.disabled) == ("v2", False)


async def test_a_refusal_says_what_is_legal_and_a_guard_holds(plane: ControlPlane) -> None:
    result = await plane.send(AdvanceRollout(**common()))
    assert result.refusal is not None
    assert result.refusal.legal
    assert result.refusal.reason
    guarded = StageVersion(model_version="v2", **common(expected_sequence=1))
    assert await sent(plane, guarded) == ("refused", "sequence-mismatch")


async def test_who_asked_and_why_is_in_the_log(plane: ControlPlane) -> None:
    await plane.send(StageVersion(model_version="v2", **common()))
    source = await plane.event_source()
    page = await source.page(0, limit=100, wanted=EntryFilter(model_name=MODEL, event_type="staged"))
    (entry,) = page.entries
    assert entry.event is not None
    assert (entry.event["actor"], entry.event["reason"], entry.event["causationid"]) == ("ada", "tried", "c-1")
    assert page.end_offset == source.end_offset == page.next_offset


async def test_a_rollout_from_start_to_end(plane: ControlPlane) -> None:
    start = StartRollout(strategy=STEPS, candidates=("v2",), **common("1"))
    assert (await sent(plane, start))[0] == "accepted"
    assert (await sent(plane, AdvanceRollout(rollout_id="r1", step_index=1, **common("2"))))[0] == "accepted"
    assert (await sent(plane, ChangeStrategy(strategy=CANARY, **common("3"))))[0] == "accepted"
    assert (await sent(plane, PauseRollout(**common("4"))))[0] == "accepted"
    assert (await sent(plane, ResumeRollout(**common("5"))))[0] == "accepted"
    assert (await sent(plane, AbortRollout(archive=False, **common("6"))))[0] == "accepted"
    assert (await sent(plane, StartRollout(strategy=CANARY, candidates=("v2",), **common("7"))))[0] == "accepted"
    assert (await sent(plane, PromoteRollout(model_version="v2", **common("8"))))[0] == "accepted"
    rollouts = await plane.ask(questions.rollouts(MODEL))
    assert not isinstance(rollouts, Refusal)
    assert [each.rollout_id for each in rollouts.rollouts] == ["r2", "r1"]


async def test_training_runs_are_asked_for_and_cancelled(plane: ControlPlane) -> None:
    asked = RequestTraining(run_id="run-2", trainer="als", parameters={"factors": 8}, after=CANARY_AFTER, **common("1"))
    assert (await sent(plane, asked))[0] == "accepted"
    assert (await sent(plane, msgspec.structs.replace(asked, command_id="2")))[0] == "unchanged"
    assert await sent(plane, CancelTraining(run_id="run-9", **common("3"))) == ("refused", "unknown-run")
    assert (await sent(plane, CancelTraining(run_id="run-2", **common("4"))))[0] == "accepted"
    run = await plane.ask(questions.run(MODEL, "run-2"))
    assert not isinstance(run, Refusal)
    assert (run.status, run.detail, run.trainer, run.parameters) == ("cancelled", "tried", "als", {"factors": 8})
    assert (run.after, run.requested_by) == (CANARY_AFTER, "ada")
    assert await plane.training_progress(run) is None
    with pytest.raises(HotswapError):
        await plane.run_file(run, "plot.svg")


async def test_circuits_and_alerts(plane: ControlPlane) -> None:
    of_v1 = common(model_version="v1")
    assert (await sent(plane, OpenCircuit(**{**of_v1, "command_id": "1"})))[0] in ("accepted", "refused")
    assert (await sent(plane, HalfOpenCircuit(**{**of_v1, "command_id": "2"})))[0] in ("accepted", "refused")
    assert (await sent(plane, CloseCircuit(**{**of_v1, "command_id": "3"})))[0] in ("accepted", "unchanged")
    rule = "error-rate"
    assert (await sent(plane, ClearAlert(rule_name=rule, **common("4"))))[0] == "unchanged"
    assert (await sent(plane, AcknowledgeAlert(rule_name=rule, **common("5"))))[0] in ("refused", "unchanged")
    assert (await sent(plane, SnoozeAlert(rule_name=rule, seconds=600, **common("6"))))[0] == "accepted"
    assert (await sent(plane, EndAlertSnooze(rule_name=rule, **common("7"))))[0] == "accepted"


async def test_the_fleet(plane: ControlPlane) -> None:
    for name in (None, MODEL):
        fleets = await plane.fleets(name)
        assert not isinstance(fleets, Refusal)
        assert [(each.model_name, each.active_version, each.workers) for each in fleets] == [(MODEL, "v1", ())]
    unknown = await plane.fleets("faces")
    assert isinstance(unknown, Refusal)
    assert unknown.code == "unknown-model"


async def test_an_answer_is_explained_by_its_place(plane: ControlPlane) -> None:
    answer = await plane.explained("", (0, 3), MODEL)
    assert (answer.model_version, answer.request_partition, answer.request_offset) == ("v1", 0, 3)
    with pytest.raises(HotswapError, match="r-1"):
        await plane.explained("r-1", None, None)
    with pytest.raises(HotswapError, match="r-1"):
        await plane.explained("r-1", None, MODEL)


async def test_what_is_not_known_of_the_traffic_is_none(plane: ControlPlane) -> None:
    assert await plane.health() is None


async def test_new_events_are_heard_of_and_so_is_the_stop(plane: ControlPlane) -> None:
    source, stop = await plane.event_source(), asyncio.Event()
    before = source.end_offset
    waiting = asyncio.create_task(source.wait_for_change(before, stop))
    await plane.send(StageVersion(model_version="v2", **common()))
    assert await asyncio.wait_for(waiting, 60)
    assert source.end_offset == before + 1
    stop.set()
    assert not await asyncio.wait_for(source.wait_for_change(before + 1, stop), 60)


async def test_what_a_rollout_shows_is_nothing_where_it_is_not_known(plane: ControlPlane) -> None:
    assert await plane.evidence(MODEL, "r1") == ()


async def test_what_people_note(plane: ControlPlane) -> None:
    for command in (
        TagModel(tags={"owner": "ada", "tier": "1"}, **common("1")),
        TagModel(removed=("tier",), **common("2")),
        TagModel(model_version="v1", tags={"seen": "yes"}, **common("3")),
        SetAlias(alias="next", model_version="v1", **common("4")),
        SetAlias(alias="last", model_version="v1", **common("5")),
        SetAlias(alias="next", model_version=None, **common("6")),
    ):
        assert (await sent(plane, command))[0] == "accepted", command
    found = await plane.ask(questions.model(MODEL))
    assert not isinstance(found, Refusal)
    assert (found.tags, found.aliases) == ({"owner": "ada"}, {"last": "v1"})


async def test_a_trigger_is_refused_without_a_policy(plane: ControlPlane) -> None:
    fire = FireTrigger(trigger="hand", slot="c-1", at=datetime.now(UTC), **common())
    assert (await sent(plane, fire))[0] == "refused"


async def test_policies_are_set_whole_and_kept(plane: ControlPlane) -> None:
    serving, alerts = ServingPolicy(error_rate_max=0.25), AlertPolicy(rules=DEFAULT_ALERT_POLICY.rules[:1])
    training = TrainingPolicy(trainer="als", schedule=ScheduleTrigger(cron="0 3 * * 1"))
    validation = ValidationPolicy(pass_margin=0.02, fail_margin=0.05, first_accuracy_min=0.5)
    sketches = {"input": INPUT, "score": SCORE}
    for command in (
        SetServingPolicy(policy=serving, **common("1")),
        SetAlertPolicy(policy=alerts, **common("2")),
        SetTrainingPolicy(policy=training, **common("3")),
        SetValidationPolicy(policy=validation, **common("4")),
        SetRequestRetention(retention=RequestRetention(seconds=3_600), **common("5")),
        ProfileVersion(model_version="v1", source="s", rows=100, sketches=sketches, **common("6")),
    ):
        assert (await sent(plane, command))[0] == "accepted", command
    found = await plane.ask(questions.model(MODEL))
    assert not isinstance(found, Refusal)
    assert (found.serving_policy, found.validation_policy) == (serving, validation)
    watched = await plane.ask(questions.alert_policy(MODEL))
    assert not isinstance(watched, Refusal)
    assert watched.policy == alerts
    triggers = await plane.ask(trigger_questions.model_triggers(MODEL))
    assert not isinstance(triggers, Refusal)
    assert triggers.policy == training
    assert (await sent(plane, SetTrainingPolicy(policy=None, **common("7"))))[0] == "accepted"


async def test_the_newest_that_passed_is_loaded(plane: ControlPlane) -> None:
    result = await plane.reload(None, common("1"))
    assert (result.status, result.model_version) == ("accepted", "v2")
    assert (await plane.reload("v2", common("2"))).status == "unchanged"
    refused = await plane.reload("v9", common("3"))
    assert refused.refusal is not None
    assert refused.refusal.code == "unknown-version"


def test_every_command_of_the_table_is_tried_here() -> None:
    tried = {name for name, value in globals().items() if isinstance(value, type) and value in PATHS}
    assert {kind.__name__ for kind in PATHS} <= tried


async def test_what_an_api_cannot_be_asked_is_an_error_that_says_so(stage: HttpStage) -> None:
    async with open_api(f"{stage.url}/nowhere", None) as wrong:
        with pytest.raises(ApiFailedError, match="404"):
            await wrong.ask(questions.models())
    async with open_api("http://127.0.0.1:1", None) as away:
        with pytest.raises(ApiUnreachableError, match="cannot be reached"):
            await away.ask(questions.models())


async def test_a_wrong_key_is_no_mere_failure(tmp_path: Path) -> None:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    keys = {"ada": "right-key-of-32-characters-or-so"}
    async with open_http_stage(log, tmp_path, api_keys=keys) as stage, open_api(stage.url, "wrong") as api:
        with pytest.raises(AuthenticationError):
            await api.send(StageVersion(model_version="v1", **common()))
