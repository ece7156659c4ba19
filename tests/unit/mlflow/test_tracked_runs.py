"""Training runs as MLflow's tracking takes them: whatever figures and parameters are called."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.training.progress import EpochFigures, TrainingProgressed
from hotswap_stream.application.mlflow.tracking import RUN_TAG, tracked_run
from hotswap_stream.application.training.view import TrainingRun

TIME = datetime(2026, 1, 1, tzinfo=UTC)
LATER = TIME + timedelta(seconds=3)
KEY = re.compile(r"[A-Za-z0-9_\-. :]{1,250}")


def ended(figures: dict[str, float]) -> TrainingProgressed:
    return TrainingProgressed(
        run_id="run-1",
        model_name="digits",
        trainer="als",
        runner="one",
        at=TIME,
        phase="ended",
        history=(EpochFigures(epoch=4, figures=figures),),
    )


def run(**fields: Any) -> TrainingRun:
    given: dict[str, Any] = {"run_id": "run-1", "model_name": "digits", "status": "succeeded"} | fields
    return TrainingRun(started_at=TIME, ended_at=LATER, **given)


def test_parameters_epochs_and_version_are_told() -> None:
    found = tracked_run(
        run(parameters={"factors": 8, "note": None}, metrics={"hr": 0.5}, model_version="v3"), ended({"loss": 0.25})
    )
    assert (found.status, found.end_time) == ("FINISHED", found.start_time + 3_000)
    assert found.params == {"factors": "8", "note": "None"}
    assert [(each.key, each.value, each.step) for each in found.metrics] == [("loss", 0.25, 4), ("version.hr", 0.5, 4)]
    assert found.tags.items() >= {RUN_TAG: "run-1", "hotswap.model_version": "v3"}.items()
    assert tracked_run(run(status="cancelled"), None).status == "KILLED"


@given(names=st.lists(st.text(min_size=1, max_size=128), max_size=5), value=st.floats())
def test_any_names_are_names_for_mlflow(names: list[str], value: float) -> None:
    figures = dict.fromkeys(names, 1.0)
    found = tracked_run(run(parameters=dict.fromkeys(names, "x"), metrics=dict.fromkeys(names, value)), ended(figures))
    for key in (*found.params, *(each.key for each in found.metrics)):
        assert KEY.fullmatch(key)
    assert all(each.value == each.value and abs(each.value) != float("inf") for each in found.metrics)
