"""What a training run says of its data becomes an event; where it cannot, the version counts all the same."""

import asyncio
from pathlib import Path

import pytest

from hotswap_events.registry.events import Provenance
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.training.evaluation import Evaluation, Measured
from hotswap_stream.application.training.runs import (
    DataProfile,
    OnProgress,
    TrainingOutcome,
    TrainingSpec,
    TrainingSucceeded,
)
from hotswap_stream.application.training.trainer import ModelTrainer, TrainingReport
from tests.support.samples.profiles import INPUT
from tests.support.samples.registry import MODEL, CountingIds, SteppingClock, artifact_of

SPEC = TrainingSpec(run_id="run-1", model_name=MODEL, architecture="linear", created_by="test")


class Trained:
    """A Trainer whose runs take no time."""

    def __init__(self, profile: DataProfile | None) -> None:
        self._profile = profile

    async def run(
        self, spec: TrainingSpec, *, on_progress: OnProgress | None = None, cancel: asyncio.Event | None = None
    ) -> TrainingOutcome:
        assert (on_progress, cancel) == (None, None)
        return TrainingSucceeded(
            run_id=spec.run_id,
            artifact=artifact_of("v1"),
            manifest=manifest_of("linear", {}),
            metrics={},
            validation_set="sha256:0",
            provenance=Provenance(origin="trained", created_by="test"),
            profile=self._profile,
        )


class Good:
    """An Evaluator that finds every version good."""

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
        assert (digest, compared_with) == (artifact_of("v1").digest, None)
        assert (data_file, validation_set) == (None, None)
        assert (options, compared_options) == (PLAIN, PLAIN)
        figures = Evaluation(
            validation_set="sha256:0",
            count=9,
            accuracy=0.97,
            macro_f1=0.97,
            class_accuracy=(0.97,),
            latency_ms_p95=1.0,
        )
        return Measured(candidate=figures)


async def trained(profile: DataProfile | None) -> tuple[TrainingReport, Registry]:
    registry = Registry(
        MemoryRegistryLog(MemoryRegistry(SteppingClock())), clock=SteppingClock(), ids=CountingIds(), source="/test"
    )
    await registry.start()
    try:
        return await ModelTrainer(registry, Trained(profile), Good()).train(SPEC, actor="test"), registry
    finally:
        await registry.stop()


async def test_it_is_recorded_before_the_version_may_become_active() -> None:
    report, registry = await trained(DataProfile(source="a week", rows=100, sketches={"input": INPUT}))
    assert [result.event_types for result in report.results] == [
        ("hotswap.model.training-started.v1",),
        ("hotswap.model.trained.v1",),
        ("hotswap.model.profiled.v1",),
        ("hotswap.model.validated.v1", "hotswap.model.promoted.v1"),
    ]
    profile = registry.state(MODEL).versions["v1"].profile
    assert profile is not None
    assert (profile.source, profile.rows, profile.sketches) == ("a week", 100, {"input": INPUT})
    assert isinstance(report.outcome, TrainingSucceeded)
    assert report.outcome.profile is None, "the sketches are in the log; a report is for people"


@pytest.mark.parametrize("profile", [None, DataProfile(source="a week", rows=100, sketches={"input": "AAAA"})])
async def test_a_version_without_a_profile_is_a_version(profile: DataProfile | None) -> None:
    report, registry = await trained(profile)
    assert report.ended_well
    version = registry.state(MODEL).versions["v1"]
    assert (version.stage, version.profile) == ("production", None)
