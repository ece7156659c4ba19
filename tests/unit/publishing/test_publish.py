"""What is asked for before anything is converted or sent, and what a base install says."""

import json
import subprocess
import sys
from typing import Any

import pytest

from hotswap_stream.client import ApiUnreachableError, PublishError, publish, publish_async
from hotswap_stream.client.publishing.detection import what_is
from hotswap_stream.client.publishing.errors import UnsupportedModelError
from tests.support.checkout import ROOT
from tests.support.samples.graphs import linear

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say where to publish"),
        ({"url": NOBODY, "to": object()}, "one of them"),
        ({"url": NOBODY, "difference_max": -1.0}, "difference_max is -1.0"),
        ({"url": NOBODY, "difference_max": float("nan")}, "difference_max is nan"),
        ({"url": NOBODY, "label_agreement_min": 1.5}, "share from 0 to 1"),
        ({"url": NOBODY, "precision": "f8"}, "precision 'f8' is not known; known are f32, bf16"),
        ({"url": NOBODY, "executor": "onnxruntime", "precision": "bf16"}, "does not compute with bf16; openvino does"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PublishError, match=said):
        publish(linear(), "mine", **options)


def test_nobody_there_is_said_so() -> None:
    with pytest.raises(ApiUnreachableError, match=NOBODY):
        publish(linear(), "mine", url=NOBODY)


async def test_it_may_be_called_where_a_loop_runs() -> None:
    with pytest.raises(ApiUnreachableError):
        publish(linear(), "mine", url=NOBODY)
    with pytest.raises(ApiUnreachableError):
        await publish_async(linear(), "mine", url=NOBODY)


class Model:
    """A model of a framework that is not installed."""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("catboost.core", "format='onnx'"),
        ("keras.src.models", "model.export"),
        ("my_own", "no framework that is known: hand in"),
    ],
)
def test_another_framework_is_refused_with_a_way_out(module: str, said: str) -> None:
    kind = type("Model", (Model,), {"__module__": module})
    with pytest.raises(UnsupportedModelError, match=said):
        what_is(kind())


@pytest.mark.slow
def test_only_what_a_model_needs_is_imported() -> None:
    """A graph's bytes are told apart and prepared without any framework or converter."""
    code = """
import json, sys
from hotswap_stream.client import publish, ApiUnreachableError
first = set(sys.modules)
try:
    publish(bytes.fromhex(sys.argv[1]), "mine", url="http://127.0.0.1:9")
except ApiUnreachableError:
    pass
tops = lambda names: sorted({name.partition(".")[0] for name in names})
print(json.dumps([tops(first), tops(sys.modules)]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, linear().hex()],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'events'}"},
    )
    assert ran.returncode == 0, ran.stderr
    imported, after = (set(names) for names in json.loads(ran.stdout))
    assert not imported & {"numpy", "onnx", "onnxruntime", "torch", "sklearn", "skl2onnx"}
    assert "onnx" in after
    assert not after & {"torch", "sklearn", "skl2onnx", "onnxmltools", "xgboost", "lightgbm", "pandas"}
