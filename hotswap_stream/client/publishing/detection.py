"""Which framework made a model: by the modules of its class, so that nothing is imported to find out."""

import os
from typing import Any, Literal

from hotswap_stream.client.publishing.errors import UnsupportedModelError

What = Literal["file", "bytes", "sklearn", "xgboost", "lightgbm", "torch", "onnx"]

_FRAMEWORKS: tuple[What, ...] = ("xgboost", "lightgbm", "torch", "sklearn", "onnx")
"""In this order: XGBoost's estimators are scikit-learn's, too."""

_WAYS_OUT = {
    "catboost": "save it with save_model('model.onnx', format='onnx'), and hand in the path",
    "keras": "export it with model.export('model.onnx', format='onnx'), and hand in the path",
    "tensorflow": "convert it with tf2onnx, and hand in the path",
    "transformers": "export it with Optimum to ONNX, and hand in the path",
}


def what_is(model: Any) -> What:
    """Return what a model is.

    Raises:
        UnsupportedModelError: It is of no framework that is known.
    """
    if isinstance(model, str | os.PathLike):
        return "file"
    if isinstance(model, bytes | bytearray | memoryview):
        return "bytes"
    kind = type(model)
    packages = [parent.__module__.partition(".")[0] for parent in kind.__mro__]
    for framework in _FRAMEWORKS:
        if framework in packages:
            return framework
    if isinstance(model, dict):
        raise UnsupportedModelError(
            "a dict is no model: weights alone (a state_dict) do not say what is computed with them, so hand in the "
            "module"
        )
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(model, type):
        raise UnsupportedModelError(f"{model.__name__} is a class: hand in a fitted model of it")
    for package in packages:
        if package in _WAYS_OUT:
            raise UnsupportedModelError(f"a {name} is not converted here: {_WAYS_OUT[package]}")
    raise UnsupportedModelError(
        f"a {name} is of no framework that is known: hand in a model of scikit-learn, XGBoost, LightGBM or torch, an "
        "ONNX graph, or the path of a file"
    )
