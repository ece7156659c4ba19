"""The last minute of each model's answers: what counts, and how much is kept."""

from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.application.monitoring.traffic import SLICE_SECONDS, WINDOW_SECONDS, Traffic
from hotswap_stream.observability.metrics import MODELS_MAX, OTHER, VERSIONS_MAX

NOW = 1_000_000.0


def figures(
    sequence: int, model_name: str = "digits", model_version: str | None = "v1", **fields: object
) -> AnswerFigures:
    given = {"role": "primary", "answers": 10, **fields}
    return AnswerFigures(
        worker_run="run-1",
        sequence=sequence,
        model_name=model_name,
        model_version=model_version,
        **given,  # type: ignore[arg-type]
    )


def test_what_came_in_the_last_minute_is_summed_by_version() -> None:
    traffic = Traffic()
    traffic.add(figures(1), NOW)
    traffic.add(figures(2, errors={"model-failure": 2}), NOW + SLICE_SECONDS)
    traffic.add(figures(3, model_version=None, answers=0, errors={"no-active-version": 4}), NOW + SLICE_SECONDS)
    recent = traffic.recent("digits", NOW + SLICE_SECONDS)
    assert {name: (sums.answers, dict(sums.errors)) for name, sums in recent.items()} == {
        "none": (0, {"no-active-version": 4}),
        "v1": (20, {"model-failure": 2}),
    }
    assert traffic.recent("digits", NOW + WINDOW_SECONDS + 3 * SLICE_SECONDS) == {}
    assert traffic.recent("faces", NOW) == {}


def test_an_observation_counts_once_and_a_shadow_for_no_answers() -> None:
    traffic = Traffic()
    traffic.add(figures(1), NOW)
    traffic.add(figures(1), NOW)
    traffic.add(figures(2, role="shadow"), NOW)
    assert [sums.answers for sums in traffic.recent("digits", NOW).values()] == [10]


def test_slices_that_are_over_are_let_go() -> None:
    traffic = Traffic()
    for second in range(0, 10 * WINDOW_SECONDS, SLICE_SECONDS):
        traffic.add(figures(second + 1), NOW + second)
    [kept] = traffic._slices.values()
    assert len(kept) <= WINDOW_SECONDS // SLICE_SECONDS + 1


def test_of_very_many_versions_the_rest_is_one() -> None:
    traffic = Traffic()
    for number in range(VERSIONS_MAX + 5):
        traffic.add(figures(number + 1, model_version=f"v{number}"), NOW)
    recent = traffic.recent("digits", NOW)
    assert len(recent) == VERSIONS_MAX + 1
    assert recent[OTHER].answers == 50


def test_of_very_many_models_those_that_are_silent_make_room() -> None:
    traffic = Traffic()
    for number in range(MODELS_MAX):
        traffic.add(figures(number + 1, model_name=f"m{number}"), NOW)
    traffic.add(figures(MODELS_MAX + 1, model_name="one-more"), NOW)
    assert traffic.recent("one-more", NOW) == {}
    later = NOW + WINDOW_SECONDS + 2 * SLICE_SECONDS
    traffic.add(figures(MODELS_MAX + 2, model_name="one-more"), later)
    assert traffic.recent("one-more", later)["v1"].answers == 10
    assert traffic.recent("m0", later) == {}
