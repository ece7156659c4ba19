"""What holds for every labelled set: it comes back from its artifact as it was, and metrics know their direction."""

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hotswap_stream.adapters.evaluation.evaluators import evaluator_of
from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
from hotswap_stream.adapters.evaluation.measures import ModelOutputs
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set, unpack_set
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec

Array = npt.NDArray[Any]

DTYPES = st.sampled_from([np.dtype(name) for name in ("?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", ">f4", ">i8")])
SPEC = TensorSpec(name="x", datatype="FP64", shape=(-1, 1))
MANIFEST = ArtifactManifest(kind="onnx", inputs=(SPEC,), outputs=(SPEC,), warm_up={"x": (1, 1)})
NUMBERS = st.floats(-1e6, 1e6, width=32)


@st.composite
def sets(draw: st.DrawFn) -> dict[str, Array]:
    rows = draw(st.integers(1, 5))
    shape = (rows, *draw(st.lists(st.integers(1, 3), max_size=3)))
    found: dict[str, Array] = {"target": draw(arrays.arrays(np.float64, (rows,), elements=NUMBERS))}
    found["x"] = draw(arrays.arrays(draw(DTYPES), shape))
    texts = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=rows, max_size=rows))
    found["words"] = np.empty(rows, object)
    found["words"][:] = texts
    return found


@given(sets())
def test_a_set_comes_back_as_it_was(found: dict[str, Array]) -> None:
    content = pack_set(labelled_set(found))
    again = unpack_set(content)
    for name, array in found.items():
        back = {**again.inputs, **again.truths}[name]
        assert back.shape == array.shape
        assert back.tolist() == array.tolist() or array.dtype.kind == "f"
        assert array.dtype.kind == "O" or back.astype(array.dtype).tobytes() == array.tobytes()
    assert pack_set(again) == content


@given(arrays.arrays(np.float64, st.integers(2, 20), elements=NUMBERS), st.floats(0.5, 1e6))
def test_no_guess_is_better_than_the_truth(target: Array, off: float) -> None:
    labelled = labelled_set({"x": target, "target": target})
    measure = evaluator_of("regression")
    right = {metric.name: metric for metric in measure(ModelOutputs(MANIFEST, {"y": target}), labelled).metrics}
    wrong = {metric.name: metric for metric in measure(ModelOutputs(MANIFEST, {"y": target + off}), labelled).metrics}
    assert right.keys() == wrong.keys()
    for name, metric in right.items():
        worse = wrong[name].value
        assert worse > metric.value if metric.better == "lower" else worse < metric.value
