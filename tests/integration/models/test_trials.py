"""What is brought is opened and run in a process of its own: good graphs pass, and no bytes do harm."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.trial import ModelOptions, TrialFailedError, TrialLimits, TrialPassed
from hotswap_stream.errors import HotswapError
from hotswap_stream.settings import Settings
from tests.support.samples import graphs

LIMITS = TrialLimits(seconds_max=60, cpu_seconds_max=10)
HASTY = TrialLimits(seconds_max=60, cpu_seconds_max=3)
"""The limits for what computes until it is ended."""


async def tried(tmp_path: Path, content: bytes, limits: TrialLimits = LIMITS, **beside: bytes) -> TrialPassed:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    paths = {}
    for name, data in beside.items():
        paths[name] = tmp_path / name
        paths[name].write_bytes(data)
    settings = Settings(home=tmp_path / "home")
    _artifact, passed = await bootstrap.imported_model(settings, file, paths, ModelOptions(), limits)
    assert passed is not None
    return passed


async def test_a_graph_says_what_it_takes_and_answers(tmp_path: Path) -> None:
    passed = await tried(tmp_path, graphs.linear())
    manifest = passed.manifest
    assert (manifest.kind, manifest.batching, passed.warnings) == ("onnx", "rows", ())
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.inputs] == [("x", "FP32", (-1, 4))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.outputs] == [("y", "FP32", (-1, 2))]


async def test_a_shape_that_is_declared_wrong_is_a_warning(tmp_path: Path) -> None:
    passed = await tried(tmp_path, graphs.linear(outputs=[1]))
    assert passed.manifest.outputs[0].shape == (-1, 2)
    assert len(passed.warnings) == 1


async def test_rows_that_are_not_by_themselves_are_answered_request_by_request(tmp_path: Path) -> None:
    assert (await tried(tmp_path, graphs.centered())).manifest.batching == "request"


async def test_rows_that_batches_of_a_size_change_are_answered_request_by_request_unless_asked_for(
    tmp_path: Path,
) -> None:
    passed = await tried(tmp_path, graphs.unlike_in_batches())
    assert passed.manifest.batching == "request"
    assert "not have the same outputs in every batch" in passed.warnings[-1]
    (tmp_path / "model.onnx").write_bytes(graphs.unlike_in_batches())
    settings, options = Settings(home=tmp_path / "home"), ModelOptions(batching="rows")
    _content, asked = await bootstrap.imported_model(settings, tmp_path / "model.onnx", {}, options, LIMITS)
    assert asked is not None
    assert asked.manifest.batching == "rows"
    assert "may differ" in asked.warnings[-1]


async def test_a_state_and_a_scalar_go_in_and_free_sizes_are_found_one_by_one(tmp_path: Path) -> None:
    manifest = (await tried(tmp_path, graphs.stateful())).manifest
    assert manifest.batching == "request"
    assert [(spec.name, spec.shape) for spec in manifest.inputs] == [
        ("samples", (-1, -1)),
        ("state", (2, -1, 3)),
        ("rate", ()),
    ]
    assert manifest.warm_up["state"] == (2, 1, 3)
    assert manifest.warm_up["samples"][1] > 4


async def test_texts_go_in_and_come_out(tmp_path: Path) -> None:
    manifest = (await tried(tmp_path, graphs.repeating())).manifest
    assert (manifest.inputs[0].datatype, manifest.outputs[0].datatype) == ("BYTES", "BYTES")


async def test_weights_beside_the_graph_come_along(tmp_path: Path) -> None:
    weights = np.ones((4, 2), "<f4").tobytes()
    passed = await tried(tmp_path, graphs.with_weights_beside("weights"), weights=weights)
    assert passed.manifest.outputs[0].shape == (-1, 2)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", ArtifactFormatError, "empty"),
        (pickle.dumps({"a": 1}), ArtifactFormatError, "pickle"),
        (graphs.linear()[:60], HotswapError, ""),
        (graphs.with_operator("Foo"), TrialFailedError, "Foo"),
        (graphs.with_operator("Foo", "my.ops"), TrialFailedError, "my.ops"),
        (graphs.with_weights_beside("../../../etc/passwd"), TrialFailedError, "etc/passwd"),
        (graphs.with_weights_beside("weights"), TrialFailedError, "weights"),
        (graphs.vast(), TrialFailedError, ""),
        (graphs.endless(), TrialFailedError, ""),
    ],
    ids=["empty", "pickle", "cut", "operator", "domain", "climbs", "missing", "vast", "endless"],
)
async def test_what_cannot_be_served_is_refused_in_words(
    tmp_path: Path, content: bytes, error: type[HotswapError], words: str
) -> None:
    with pytest.raises(error) as raised:
        await tried(tmp_path, content, HASTY if content == graphs.endless() else LIMITS)
    assert words in str(raised.value)
