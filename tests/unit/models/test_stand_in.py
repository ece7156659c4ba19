"""What stands in for a version answers until its successor does, and each answer names what computed it."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.adapters.models.stand_in import StandIn
from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec

MANIFEST = ArtifactManifest(
    architecture="any",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 1)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 1)),),
    warm_up={"x": (1, 1)},
)
ROWS = {"x": np.ones((3, 1), np.float32)}


class Adds:
    """An executor that adds a number, and may be held up."""

    def __init__(self, name: str, number: float) -> None:
        self.name, self._number = name, number
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Add."""
        self.entered.set()
        assert self.go_on.wait(60)
        return [inputs[0] + self._number]


def loaded(executor: Adds, sizes: tuple[int, ...] = (1, 2, 4)) -> OnnxLoadedModel:
    return OnnxLoadedModel(MANIFEST, executor, sizes)


def test_the_successor_answers_from_the_next_call_on() -> None:
    first = Adds("exported-graph", 1.0)
    model, successor = StandIn(loaded(first)), loaded(Adds("eager", 2.0))
    assert (model.manifest, model.executor, model.padded_rows(3)) == (MANIFEST, "exported-graph", 4)
    first.go_on.clear()
    with ThreadPoolExecutor(2) as pool:
        answered = pool.submit(lambda: (model.infer(ROWS)["y"][0, 0], model.executor))
        assert first.entered.wait(60)
        replaced = pool.submit(model.succeed, successor)
        assert not replaced.done()
        first.go_on.set()
        # The call that ran is the first one's, and says so; only then is the first one closed.
        assert answered.result() == (2.0, "exported-graph")
        assert replaced.result()
    assert (model.infer(ROWS)["y"][0, 0], model.executor) == (3.0, "eager")
    assert model.padded_rows(3) == 4
    model.close()
    assert model.is_closed
    with pytest.raises(RuntimeError, match="closed"):
        model.infer(ROWS)
    with pytest.raises(RuntimeError, match="closed"):
        successor.infer(ROWS)


@pytest.mark.parametrize("gone", [True, False])
def test_a_successor_that_does_not_fit_is_closed(*, gone: bool) -> None:
    model = StandIn(loaded(Adds("exported-graph", 1.0)))
    successor = loaded(Adds("eager", 2.0), (1, 2, 4) if gone else ())
    if gone:
        model.close()
    assert not model.succeed(successor)
    with pytest.raises(RuntimeError, match="closed"):
        successor.infer(ROWS)
    if not gone:
        assert (model.infer(ROWS)["y"][0, 0], model.executor) == (2.0, "exported-graph")
