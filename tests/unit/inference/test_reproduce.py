"""How far an answer is from what is computed again, said in numbers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.audit.reproduce import NotReproducibleError, difference_of, reproduce
from hotswap_stream.application.swap.loader import Arrays
from tests.support.samples.artifacts import linear_manifest

ONE = np.array([[1.0, 2.0]], np.float32)


class _Model:
    """Answers twice its input, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.closed = False

    @property
    def manifest(self) -> ArtifactManifest:
        return linear_manifest(2, 2)

    def infer_exactly(self, inputs: Arrays, *, padded_batch_size: int, first_row: int = 0) -> Arrays:
        self.asked.append((padded_batch_size, first_row))
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        self.closed = True


class _Loader:
    def __init__(self) -> None:
        self.model = _Model()
        self.loaded: list[tuple[str, ...]] = []
        self.graphs: list[str | None] = []

    async def load_exactly(
        self, digest: str, executor: str, precision: str = "f32", *, graph_digest: str | None = None
    ) -> _Model:
        self.loaded.append((digest, executor, precision))
        self.graphs.append(graph_digest)
        return self.model


async def _reproduce(loader: _Loader, answered: dict[str, Any], inputs: dict[str, Any] | None = None) -> Any:
    return await reproduce(
        loader,
        artifact_digest="sha256:d",
        executor="eager",
        padded_batch_size=8,
        inputs={"x": ONE} if inputs is None else inputs,
        answered=answered,
        first_row=3,
        graph_digest="sha256:g",
    )


async def test_the_same_numbers_are_equal_also_from_json() -> None:
    loader = _Loader()
    found = await _reproduce(loader, {"y": json.loads(json.dumps((ONE * 2).tolist()))})
    assert found.equal
    assert (loader.loaded, loader.graphs) == ([("sha256:d", "eager", "f32")], ["sha256:g"])
    assert loader.model.asked == [(8, 3)]
    assert loader.model.closed


async def test_other_numbers_are_measured() -> None:
    answered = ONE * 2
    answered[0, 1] = np.nextafter(np.nextafter(answered[0, 1], np.float32(9)), np.float32(9))
    found = await _reproduce(_Loader(), {"y": answered})
    (difference,) = found.differences
    assert not found.equal
    assert (difference.elements, difference.differing, difference.ulp_max) == (2, 1, 2)
    assert difference.abs_max == pytest.approx(2 * 2**-21)


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        ({"z": ONE}, r"outputs \['z'\]; the model has \['y'\]"),
        ({}, r"outputs \[\]"),
        ({"y": ONE[0]}, r"answered with shape \[2\], computed with \[1, 2\]"),
    ],
)
async def test_what_does_not_belong_together_is_said(answered: dict[str, Any], words: str) -> None:
    loader = _Loader()
    with pytest.raises(NotReproducibleError, match=words):
        await _reproduce(loader, answered)
    assert loader.model.closed


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(FLOATS, st.integers(1, 50))
def test_ulps_count_the_steps_between_floats(value: float, steps: int) -> None:
    start = end = np.float32(value)
    with np.errstate(over="ignore"):  # below the smallest is infinity
        for _ in range(steps):
            end = np.nextafter(end, np.float32(-np.inf))
    if not np.isfinite(end):
        return
    found = difference_of("y", np.array([start]), np.array([end]))
    assert found.ulp_max == steps


def test_integers_and_nan_have_no_ulps() -> None:
    assert difference_of("y", np.array([3]), np.array([5])).ulp_max is None
    nan = difference_of("y", np.array([np.nan], np.float32), np.array([1], np.float32))
    assert (nan.ulp_max, nan.abs_max) == (None, float("inf"))
    assert difference_of("y", np.array([np.nan]), np.array([np.nan])).differing == 0
