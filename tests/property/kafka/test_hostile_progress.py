"""Whatever is written to the topic of training progress, the next good record is read."""

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.application.trainers.progress import RUNS_KEPT_MAX, ProgressFold

GOOD = TrainingProgressed(
    run_id="run-1",
    model_name="digits",
    trainer="als",
    runner="one/1",
    at=datetime(2026, 1, 2, tzinfo=UTC),
    phase="training",
    step=3,
    steps=9,
    figures={"loss": 0.5},
)
VALUE = msgspec.json.encode(GOOD)
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_fields = st.fixed_dictionaries({}, optional=dict.fromkeys(TrainingProgressed.__struct_fields__, _json))
_values = (
    st.none()
    | st.binary(max_size=300)
    | st.integers(0, len(VALUE)).map(lambda end: VALUE[:end])
    | _fields.map(lambda changed: msgspec.json.encode({**msgspec.to_builtins(GOOD), **changed}))
)


@given(st.lists(st.tuples(st.none() | st.binary(max_size=20) | st.just(b"run-1"), _values), max_size=20))
def test_whatever_is_written_the_next_good_record_is_read(records: list[tuple[bytes | None, bytes | None]]) -> None:
    fold = ProgressFold()
    for key, value in records:
        fold.apply(key, value)
    heard = fold.heard.get("run-1", 0)
    assert fold.apply(b"run-1", VALUE) == GOOD
    assert (fold.of("run-1", "digits", "one/1"), fold.heard["run-1"]) == (GOOD, heard + 1)


def test_who_names_another_model_or_runner_gives_no_sign_of_life() -> None:
    fold = ProgressFold()
    fold.apply(b"run-1", VALUE)
    assert fold.of("run-1", "faces") is None
    assert fold.of("run-1", "digits", "two/2") is None
    assert fold.apply(b"run-2", VALUE) is None
    assert fold.apply(b"run-1", b"[" * 100_000) is None
    assert fold.passed_over == 2
    fold.apply(b"run-1", None)
    assert fold.of("run-1", "digits") is None


def test_runs_are_forgotten_when_there_are_too_many() -> None:
    fold = ProgressFold()
    for number in range(RUNS_KEPT_MAX + 2):
        run_id = f"run-{number}"
        fold.apply(run_id.encode(), msgspec.json.encode(msgspec.structs.replace(GOOD, run_id=run_id)))
    assert len(fold.latest) == len(fold.heard) == RUNS_KEPT_MAX
    assert "run-0" not in fold.latest
