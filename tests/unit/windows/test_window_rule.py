"""One rule for a model's windows: the serving version is right, and the longest window of its series is kept."""

from hotswap_events.inference.windows import WindowRule
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec, WindowSpec
from hotswap_stream.application.windows.rule import joint_rule, next_rule, rule_of, same_series


def manifest(
    steps: int, *, features: int = 3, name: str = "series", allow_non_finite: bool = False
) -> ArtifactManifest:
    """A version that takes a window, and another input beside it."""
    return ArtifactManifest(
        architecture="recurrent",
        inputs=(
            TensorSpec(name="other", datatype="INT64", shape=(-1, 1)),
            TensorSpec(name=name, datatype="FP32", shape=(-1, steps, features)),
        ),
        outputs=(TensorSpec(name="scores", datatype="FP32", shape=(-1, 2)),),
        warm_up={"other": (1, 1), name: (1, steps, features)},
        allow_non_finite=allow_non_finite,
        window=WindowSpec(input=name, steps=steps),
    )


PLAIN = ArtifactManifest(
    architecture="linear",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 1)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),),
    warm_up={"x": (1, 1)},
)


def rule(steps: int, *, features: int = 3, name: str = "series") -> WindowRule:
    return WindowRule(input=name, datatype="FP32", features=features, steps=steps)


def test_a_version_says_which_window_it_takes() -> None:
    assert rule_of(manifest(8)) == rule(8)
    assert rule_of(PLAIN) is None
    allowing = rule_of(manifest(8, allow_non_finite=True))
    assert allowing is not None
    assert allowing.allow_non_finite


def test_the_same_series_is_the_same_input_datatype_and_features() -> None:
    assert same_series(rule(8), rule(2))
    assert not same_series(rule(8), rule(8, features=4))
    assert not same_series(rule(8), rule(8, name="steps"))


def test_the_rule_keeps_the_most_steps_that_a_version_of_the_same_series_takes() -> None:
    assert joint_rule(manifest(4), [manifest(4), manifest(9), manifest(20, features=4)]) == rule(9)


def test_without_a_serving_version_that_takes_a_window_the_first_loaded_one_is_right() -> None:
    assert joint_rule(None, [PLAIN, manifest(4), manifest(9, features=4)]) == rule(4)
    assert joint_rule(PLAIN, [PLAIN, manifest(4)]) == rule(4)


def test_no_version_that_takes_a_window_makes_no_rule() -> None:
    assert joint_rule(PLAIN, [PLAIN]) is None
    assert joint_rule(None, []) is None


def test_windows_of_the_same_series_do_not_get_shorter() -> None:
    assert next_rule(rule(9), rule(4)) == rule(9)
    assert next_rule(rule(4), rule(9)) == rule(9)
    assert next_rule(rule(9), rule(4, features=4)) == rule(4, features=4)
    assert next_rule(None, rule(4)) == rule(4)
