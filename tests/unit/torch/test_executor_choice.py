"""Candidates must compute what eager torch does, be faster where it counts, and be known before the time is over."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hotswap_stream.adapters.models.checking import (
    OutputsDifferError,
    Reference,
    compare,
    rows_mix,
    sample_inputs,
)
from hotswap_stream.adapters.models.executor_choice import Rates, choose, fastest
from hotswap_stream.adapters.torch.executors.executors import EagerExecutor, ExecutorName, as_tensor
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from tests.support.samples import executors as executor_samples

Array = npt.NDArray[Any]
SIZES = (1, 2, 4, 8, 16)
assert executor_samples.__name__


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Candidate:
    """Eager, changed by a test, and with a duration on a clock that only moves when something runs."""

    name: ExecutorName = "onnxruntime"

    def __init__(
        self, eager: EagerExecutor, clock: _Clock, seconds: float, change: Callable[[Array], Array] = np.asarray
    ) -> None:
        self._eager, self._clock, self._seconds, self._change = eager, clock, seconds, change

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self._clock.now += self._seconds
        return [self._change(output) for output in self._eager.run(inputs)]


class _SlowEager(EagerExecutor):
    def __init__(self, manifest: ArtifactManifest, clock: _Clock) -> None:
        super().__init__(build_module(manifest.architecture, manifest.arguments).eval(), manifest)
        self._clock = clock

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        self._clock.now += 1.0
        return super().run(inputs)


def _choose(seconds: float, change: Callable[[Array], Array] = np.asarray, choice_ms_max: float = 1e9) -> Any:
    manifest, clock = manifest_of("linear", {}), _Clock()
    eager = _SlowEager(manifest, clock)
    return choose(
        manifest,
        eager,
        {"onnxruntime": lambda: _Candidate(eager, clock, seconds, change)},
        SIZES,
        choice_ms_max=choice_ms_max,
        stopwatch=clock,
        clock=clock,
    )


def _nan_last(output: Array) -> Array:
    output[-1] = np.nan
    return output


def _position(output: Array) -> Array:
    output[0] = np.nextafter(output[0], np.float32(np.inf))
    return output


def _raise(output: Array) -> Array:
    raise RuntimeError("no kernel")


class _CheaperThanEager(_Candidate):
    def run(self, inputs: Sequence[Array]) -> list[Array]:
        before = self._clock.now
        outputs = super().run(inputs)
        self._clock.now = before + self._seconds
        return outputs


def _choose_cheaper(seconds: float) -> Any:
    manifest, clock = manifest_of("linear", {}), _Clock()
    eager = _SlowEager(manifest, clock)
    return choose(
        manifest,
        eager,
        {"onnxruntime": lambda: _CheaperThanEager(eager, clock, seconds)},
        SIZES,
        choice_ms_max=1e9,
        stopwatch=clock,
        clock=clock,
    )


def test_a_faster_executor_with_the_same_answers_is_chosen() -> None:
    choice = _choose_cheaper(0.25)
    assert choice.executor.name == "onnxruntime"
    assert choice.rates["onnxruntime"] == Rates(4.0, 64.0)
    assert choice.rates["eager"] == Rates(1.0, 16.0)
    assert choice.dropped == {}


def test_a_slower_one_is_not() -> None:
    assert _choose_cheaper(1.5).executor.name == "eager"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda output: output * np.float32(1.01), "is off by"),
        (lambda output: output[:, ::-1], "is off by"),
        (_nan_last, "NaN or infinite elsewhere"),
        (lambda output: output.astype(np.float64), "is float64"),
        (lambda output: output[:-1], r"\[15, 2\], not float32 \[16, 2\]"),
        (_position, "depend on its place"),
        (_raise, "RuntimeError: no kernel"),
    ],
)
def test_a_wrong_executor_is_dropped_and_eager_serves(change: Callable[[Array], Array], words: str) -> None:
    choice = _choose(0.0, change)
    assert choice.executor.name == "eager"
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(choice.dropped["onnxruntime"])


def test_when_the_time_is_over_nothing_more_is_built() -> None:
    choice = _choose(0.0, choice_ms_max=1.0)
    assert choice.executor.name == "eager"
    assert choice.dropped == {"onnxruntime": "no time left of 1.0 ms"}


@pytest.mark.parametrize(
    ("one_row", "largest", "best"),
    [
        (2.0, 2.0, "onnxruntime"),
        (0.97, 3.0, "onnxruntime"),
        (0.5, 9.0, "eager"),
        (9.0, 0.5, "eager"),
        (1.05, 1.05, "eager"),
    ],
)
def test_an_executor_must_not_lose_at_either_size(one_row: float, largest: float, best: str) -> None:
    assert fastest({"eager": Rates(1.0, 1.0), "onnxruntime": Rates(one_row, largest)}, "eager") == best


def test_integers_must_be_equal_and_non_finite_numbers_in_the_same_places() -> None:
    manifest = manifest_of("test-two-inputs", {})
    scores, labels = np.array([[1.0, np.inf]], np.float32), np.array([1])
    compare(manifest, [scores, labels], [scores.copy(), labels.copy()], "here")
    with pytest.raises(OutputsDifferError, match="output 'label' differs"):
        compare(manifest, [scores, labels], [scores, labels - 1], "here")
    with pytest.raises(OutputsDifferError, match="elsewhere"):
        compare(manifest, [scores, labels], [np.nan_to_num(scores), labels], "here")


def test_samples_are_the_same_each_time_and_of_the_declared_types() -> None:
    manifest = manifest_of("test-two-inputs", {})
    one, other = (sample_inputs(manifest, 5, seed=3) for _ in range(2))
    assert [array.tobytes() for array in one] == [array.tobytes() for array in other]
    assert [(array.dtype.name, array.shape) for array in one] == [("float32", (5, 4)), ("int64", (5, 1))]


def test_rows_that_change_each_other_are_found() -> None:
    for name, mixes in (("test-rows-mix", True), ("test-two-inputs", False), ("digits-cnn", False)):
        manifest = manifest_of(name, {})
        eager = EagerExecutor(build_module(name, {}).eval(), manifest)
        assert rows_mix(manifest, eager, 16) is mixes


def test_a_reference_checks_each_size_it_is_given() -> None:
    manifest = manifest_of("linear", {})
    eager = EagerExecutor(build_module("linear", {}).eval(), manifest)

    class WrongAtSixteen(EagerExecutor):
        def run(self, inputs: Sequence[Array]) -> list[Array]:
            return [output + (len(output) == 16) for output in super().run(inputs)]

    wrong = WrongAtSixteen(eager.module, manifest)
    Reference(manifest, eager, 16).check(wrong, (1, 8))
    with pytest.raises(OutputsDifferError, match="16 rows"):
        Reference(manifest, eager, 16).check(wrong, (1, 16))


@pytest.mark.slow
def test_only_memory_that_torch_may_use_is_used_without_a_copy() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    frozen = np.frombuffer(array.tobytes(), np.float32).reshape(3, 4)
    for other in (frozen, array.T, array.astype(">f4"), array[:, ::-1]):
        torch.testing.assert_close(as_tensor(other), torch.tensor(other.astype(np.float32).copy()))
