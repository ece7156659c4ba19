"""The parts of the demo: which acts each plays, and that those after a gap make for themselves what they need."""

import asyncio
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog
from typer.testing import CliRunner

from hotswap_events.registry.events import Provenance
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.evaluation import Evaluation, Measured
from hotswap_stream.application.training.runs import (
    OnProgress,
    TrainingOutcome,
    TrainingProgress,
    TrainingSpec,
    TrainingSucceeded,
)
from hotswap_stream.application.training.trainer import ModelTrainer
from hotswap_stream.cli.app import build_app
from hotswap_stream.cli.demo import play
from hotswap_stream.cli.demo.command import PARTS
from hotswap_stream.cli.demo.publish_acts import PublishActs
from hotswap_stream.cli.demo.report import Act, DemoReport
from hotswap_stream.cli.demo.rollout_acts import RolloutActs
from hotswap_stream.cli.demo.scene import FIRST_EPOCHS, MODEL, SECOND_EPOCHS, Scene
from hotswap_stream.cli.demo.traffic import Traffic
from hotswap_stream.cli.demo.version_acts import VersionActs
from hotswap_stream.cli.processes.stack import Stack
from hotswap_stream.settings import Settings
from tests.support.samples.artifacts import linear_manifest
from tests.support.samples.registry import CountingIds, SteppingClock, artifact_of

INVERTED = 3
"""The seed by which the demo trains the version on inverted labels."""


def acts_of(player: type) -> set[str]:
    return {name for name, found in vars(player).items() if inspect.iscoroutinefunction(found) and name[0] != "_"}


@pytest.mark.parametrize("part", PARTS)
def test_every_act_of_a_part_is_one_that_somebody_can_play(part: str) -> None:
    assert set(PARTS[part]) <= acts_of(VersionActs) | acts_of(RolloutActs) | acts_of(PublishActs)
    assert PARTS[part][0] == "first_version", "without it nobody asks, and there is nothing to swap"


def test_the_whole_plays_every_act_once_and_the_parts_cover_all_but_the_emergency() -> None:
    players = (VersionActs, RolloutActs, PublishActs)
    assert sorted(PARTS["all"]) == sorted(name for player in players for name in acts_of(player))
    parts = {name for part, names in PARTS.items() if part != "all" for name in names}
    assert set(PARTS["all"]) - parts == {"emergency"}
    assert PARTS["rollouts"][1:] == PARTS["all"][-4:-1]


@pytest.mark.parametrize(("options", "part"), [((), "all"), *((("--part", part), part) for part in PARTS)])
def test_the_option_chooses_the_acts(
    options: tuple[str, ...], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[str, ...], float, bool]] = []

    async def played(
        _settings: Settings, names: tuple[str, ...], *, rate: float, pause: bool, stay: bool
    ) -> DemoReport:
        assert not stay
        asked.append((names, rate, pause))
        return DemoReport(
            requests=1,
            answers=1,
            lost=0,
            duplicated=0,
            errors=0,
            accuracy={},
            promotion_to_first_answer_ms=[],
            longest_gap_ms=0,
            users=1,
            users_of_two_versions=0,
            requests_per_second=rate,
            seconds=1.0,
            audit="",
            acts=[Act(name=name, outcome="", held=True, registry_offset=None, seconds=1.0) for name in names],
        )

    monkeypatch.setattr(play, "play", played)
    try:
        result = CliRunner().invoke(
            build_app(),
            ["demo", *options, "--rate", "50", "--keep", str(tmp_path / "home"), "--json", str(tmp_path / "f")],
        )
    finally:
        structlog.reset_defaults()  # they would go on with the runner's standard error
    assert result.exit_code == 0, result.output
    assert asked == [(PARTS[part], 50.0, False)]
    report = msgspec.json.decode((tmp_path / "f").read_bytes(), type=DemoReport)
    assert [act.name for act in report.acts] == list(PARTS[part])


class Trained:
    """A Trainer whose runs take no time. It remembers them."""

    def __init__(self) -> None:
        self.specs: list[TrainingSpec] = []

    async def run(
        self, spec: TrainingSpec, *, on_progress: OnProgress | None = None, cancel: asyncio.Event | None = None
    ) -> TrainingOutcome:
        assert on_progress is not None
        assert cancel is None
        self.specs.append(spec)
        return TrainingSucceeded(
            run_id=spec.run_id,
            artifact=artifact_of(str(spec.seed)),
            manifest=linear_manifest(),
            metrics={},
            validation_set="sha256:0",
            provenance=Provenance(origin="trained", created_by="test"),
        )


class Judge:
    """An Evaluator that finds every version good but that on inverted labels."""

    async def measure(
        self,
        digest: str,
        *,
        compared_with: str | None = None,
        options: VersionOptions = PLAIN,
        compared_options: VersionOptions = PLAIN,
        data_file: Path | None = None,
        validation_set: ValidationSet | None = None,
    ) -> Measured:
        assert (data_file, validation_set) == (None, None)
        assert (options, compared_options) == (PLAIN, PLAIN)
        return Measured(
            candidate=_figures(0.01 if digest == artifact_of(str(INVERTED)).digest else 0.97),
            compared=None if compared_with is None else _figures(0.96),
        )


def _figures(accuracy: float) -> Evaluation:
    return Evaluation(
        validation_set="sha256:0",
        count=9,
        accuracy=accuracy,
        macro_f1=accuracy,
        class_accuracy=(accuracy,),
        latency_ms_p95=1.0,
    )


@pytest.mark.slow
async def test_rollouts_alone_train_the_versions_that_they_need_once(tmp_path: Path) -> None:
    """Only the first one is there; after the acts before them the others are, and are not trained anew."""
    clock, trained = SteppingClock(), Trained()
    registry = Registry(MemoryRegistryLog(MemoryRegistry(clock)), clock=clock, ids=CountingIds(), source="/test")
    await registry.start()

    def shown(_spec: TrainingSpec) -> OnProgress:
        def heard(_progress: TrainingProgress) -> None:
            raise AssertionError("its runs take no time")

        return heard

    try:
        scene = Scene(
            cast(Stack, SimpleNamespace(settings=Settings(home=tmp_path))),
            ModelTrainer(registry, trained, Judge()),
            cast(Traffic, None),
            on_progress=shown,
            tell=lambda _line: None,
        )
        await scene.train(epochs=FIRST_EPOCHS, seed=1)
        versions: list[Any] = [await scene.better_version(), await scene.inverted_version()]
        versions += [await scene.better_version(), await scene.inverted_version()]
        assert versions == ["v2", "v3", "v2", "v3"]
        assert [(spec.epochs, spec.seed) for spec in trained.specs] == [
            (FIRST_EPOCHS, 1),
            (SECOND_EPOCHS, 2),
            (FIRST_EPOCHS, INVERTED),
        ]
        state = registry.state(MODEL)
        assert state.active_version == "v1"
        assert [version.stage for version in state.versions.values()] == ["production", "none", "archived"]
    finally:
        await registry.stop()
