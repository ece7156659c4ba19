"""What a manifest cannot say: each is refused with what is wrong."""

from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_stream.application.artifacts.manifest import (
    ArtifactManifest,
    Package,
    TensorSpec,
    WindowSpec,
)
from tests.support.samples.artifacts import linear_manifest

X = TensorSpec(name="x", datatype="FP32", shape=(-1, 4))
STEPS = TensorSpec(name="x", datatype="FP32", shape=(-1, 8, 4))
WINDOW = WindowSpec(input="x", steps=8)
WINDOWED = {"inputs": (STEPS,), "warm_up": {"x": (1, 8, 4)}, "window": WINDOW}
LARGE = TensorSpec(name="x", datatype="FP64", shape=(-1, 8, 2**22))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": (X, X)}, "inputs name a tensor twice"),
        ({"warm_up": {"y": (1, 4)}}, r"warm_up names \['y'\], but the inputs are \['x'\]"),
        ({"warm_up": {"x": (1, 5)}}, "does not fit input 'x'"),
        ({"warm_up": {"x": (0, 4)}}, "does not fit input 'x'"),
        ({"warm_up": {"x": (2**31, 4)}}, "the warm_up shapes have more than"),
        ({"labels": ("l" * 10_000,)}, "a label has more than"),
        ({"outputs": (TensorSpec(name="y", datatype="FP32", shape=()),)}, "needs batching 'request'"),
        ({**WINDOWED, "batching": "request"}, "a window needs batching 'rows'"),
        ({"window": WindowSpec(input="z", steps=8)}, "window names input 'z'"),
        ({"window": WINDOW}, r"a window of 8 steps takes \[-1, 8, features\]"),
        ({**WINDOWED, "inputs": (replace(STEPS, datatype="BYTES"),)}, "a window is made of numbers"),
        ({**WINDOWED, "inputs": (LARGE,), "warm_up": {"x": (1, 8, 2**22)}}, "bytes; at most"),
        ({"kind": "onnx"}, "an artifact of kind 'onnx' names no architecture"),
        ({"kind": "runtime", "architecture": ""}, "runtime name '' is not valid"),
        ({"architecture": "../evil"}, "architecture name '../evil' is not valid"),
        ({"kind": "onnx", "architecture": ""}, "takes no arguments and needs no package"),
        ({"kind": "onnx", "architecture": "", "arguments": {}, "package": Package(name="p")}, "needs no package"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_manifest_can_say(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(linear_manifest(), **changes)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("", (1,), "tensor name"),
        ("a\n", (1,), "tensor name"),
        ("x", (0,), "sizes from 1"),
        ("x", (-2,), "sizes from 1"),
    ],
)
def test_what_no_tensor_can_be(name: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TensorSpec(name=name, datatype="FP32", shape=shape)


@pytest.mark.parametrize(("name", "version"), [("", ""), ("a b", ""), ("torch", "1\n"), ("../torch", "")])
def test_what_no_package_is(name: str, version: str) -> None:
    with pytest.raises(ValueError, match="no name and version of a package"):
        Package(name=name, version=version)


def test_users_send_as_many_steps_of_a_window_as_they_have() -> None:
    manifest = replace(linear_manifest(), **WINDOWED)
    assert [tensor.shape for tensor in manifest.signature.inputs] == [(-1, -1, 4)]
    assert manifest.what == "linear"
    graph = ArtifactManifest(kind="onnx", inputs=(X,), outputs=(X,), warm_up={"x": (1, 4)})
    assert (graph.what, graph.signature.inputs[0].shape) == ("onnx", (-1, 4))
