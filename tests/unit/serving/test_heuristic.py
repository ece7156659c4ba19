"""A constant answer in the form of another model: what is packed is what torch answers."""

import asyncio
from pathlib import Path

import numpy
import pytest
from msgspec.structs import replace

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.artifacts.heuristic import WrongHeuristicError, constant_artifact, parse_outputs
from hotswap_stream.application.artifacts.manifest import TensorSpec
from tests.support.samples.artifacts import linear_manifest

LIKE = linear_manifest(features=4, outputs=3)
TWO_OUTPUTS = replace(
    LIKE,
    outputs=(
        TensorSpec(name="scores", datatype="FP32", shape=(-1, 2, 2)),
        TensorSpec(name="class", datatype="INT64", shape=(-1,)),
    ),
)


def test_every_row_gets_the_answer() -> None:
    content = constant_artifact(LIKE, {"y": [0.25, 0.5, -1.0]})
    manifest = read_manifest(content)
    assert (manifest.inputs, manifest.outputs, manifest.warm_up) == (LIKE.inputs, LIKE.outputs, LIKE.warm_up)
    import torch

    (answer,) = load_module(manifest, content)(torch.zeros(5, 4))
    assert answer.tolist() == [[0.25, 0.5, -1.0]] * 5


def test_several_outputs_of_several_datatypes() -> None:
    content = constant_artifact(TWO_OUTPUTS, {"scores": [1, 2, 3, 4], "class": [7]})
    import torch

    scores, classes = load_module(read_manifest(content), content)(torch.zeros(2, 4))
    assert scores.tolist() == [[[1, 2], [3, 4]]] * 2
    assert (classes.tolist(), classes.dtype) == ([7, 7], torch.int64)


async def test_it_serves_as_any_version_does(tmp_path: Path) -> None:
    store = open_artifact_store(ArtifactStoreConfig(url=str(tmp_path)))
    facts = await store.put_artifact(constant_artifact(LIKE, {"y": [0.25, 0.5, 0.25]}))
    loader = TorchModelLoader(store, torch_threads=1)
    model = await loader.load(facts.digest)
    try:
        inputs = {"x": numpy.zeros((6, 4), dtype=numpy.float32)}
        answer = await asyncio.to_thread(model.infer, inputs)
        assert answer["y"].tolist() == [[0.25, 0.5, 0.25]] * 6
    finally:
        model.close()
        loader.close()


@pytest.mark.parametrize(
    ("like", "answer", "words"),
    [
        (LIKE, {"y": [1.0]}, "1 values for output 'y' of shape .-1, 3.; 3 are needed"),
        (LIKE, {"z": [1.0, 2.0, 3.0]}, "given for .'z'.; the model answers .'y'."),
        (LIKE, {"y": [1.0, 2.0, float("nan")]}, "finite"),
        (LIKE, {"y": [1.0, 2.0, 1e300]}, "does not fit FP32"),
        (TWO_OUTPUTS, {"scores": [1, 2, 3, 4], "class": [0.5]}, "whole numbers"),
        (
            replace(LIKE, outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, -1)),)),
            {"y": [1.0]},
            "all sizes but the first fixed",
        ),
        (
            replace(LIKE, outputs=(TensorSpec(name="y", datatype="BOOL", shape=(-1, 1)),)),
            {"y": [1.0]},
            "is BOOL; a constant answer can be",
        ),
    ],
)
def test_what_does_not_fit_says_what_would(like: object, answer: dict[str, list[float]], words: str) -> None:
    with pytest.raises(WrongHeuristicError, match=words):
        constant_artifact(like, answer)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "y", "y:FP32:-1", "y:FP32:a", "y:FP16:1", ":FP32:1"])
def test_wrong_arguments_of_the_architecture(text: str) -> None:
    with pytest.raises(ValueError):
        parse_outputs(text)
