"""Training runs as metrics: what waits, what goes on and how far, and when one last went well."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.api.monitoring.training_families import training_families
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.trainers.progress import ProgressFold
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.runs import RunState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_DIGITS = '{model_name="digits"}'


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def streams_of(*runs: RunState) -> list[Stream]:
    model, other = ModelState("digits"), ModelState("faces")
    model.runs = {run.run_id: run for run in runs}
    return [Stream(state=model), Stream(state=other)]


def shown(streams: list[Stream], progress: ProgressFold | None) -> dict[str, Any]:
    return {
        f"{family.spec.name}{{{labels}}}": value
        for family in training_families(streams, progress, NOW)
        for labels, value in family.samples
    }


def test_runs_that_wait_go_on_and_went_well() -> None:
    progress = ProgressFold()
    said = TrainingProgressed(
        run_id="r4", model_name="digits", trainer="t", runner="w", at=NOW, phase="training", step=30, steps=120
    )
    progress.apply(b"r4", msgspec.json.encode(said))
    streams = streams_of(
        RunState("r1", "succeeded", started_at=ago(500), ended_at=ago(400)),
        RunState("r2", "succeeded", started_at=ago(300), ended_at=ago(270)),
        RunState("r3", "failed", started_at=ago(90), ended_at=ago(80)),
        RunState("r4", "running", runner="w", claimed_at=ago(50), started_at=ago(45)),
        RunState("r5", "requested", requested_at=ago(20)),
        RunState("r6", "requested", requested_at=ago(10)),
    )
    found = shown(streams, progress)
    assert found[f"hotswap_training_waiting_seconds{OF_DIGITS}"] == 20.0
    assert found[f"hotswap_training_running_seconds{OF_DIGITS}"] == 45.0
    assert found[f"hotswap_training_progress{OF_DIGITS}"] == 0.25
    assert found[f"hotswap_training_last_duration_seconds{OF_DIGITS}"] == 30.0
    assert found[f"hotswap_training_last_success_timestamp_seconds{OF_DIGITS}"] == ago(270).timestamp()
    assert found['hotswap_training_runs{model_name="digits",status="requested"}'] == 2
    assert not any("faces" in name for name in found), "no line for a model that was never trained"


@pytest.mark.parametrize("step", [None, 0])
def test_what_is_not_known_has_no_line(step: int | None) -> None:
    progress = ProgressFold()
    said = TrainingProgressed(
        run_id="r1", model_name="digits", trainer="t", runner="w", at=NOW, phase="training", step=step, steps=step
    )
    progress.apply(b"r1", msgspec.json.encode(said))
    running = RunState("r1", "running", runner="w")  # of a log from before there were times
    for heard in (None, progress):
        assert shown(streams_of(running), heard) == {'hotswap_training_runs{model_name="digits",status="running"}': 1}
