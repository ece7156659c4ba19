"""Which converter a model goes to, and what is asked for before: an example, or trust in a file."""

from pathlib import Path
from typing import Any

import numpy as np

from hotswap_stream.application.artifacts.file_kinds import HEAD_BYTES, file_kind, is_exported_program
from hotswap_stream.client.publishing.conversion import Conversion
from hotswap_stream.client.publishing.detection import What, what_is
from hotswap_stream.client.publishing.errors import ConverterMissingError, ExampleError, PublishError
from hotswap_stream.client.publishing.wishes import Wishes

_WITH_THE_EXTRA = frozenset({"skl2onnx", "onnxmltools", "onnx", "onnxscript", "onnxruntime", "numpy", "google"})


def conversion_of(model: Any, wishes: Wishes) -> Conversion | Path:
    """Return how to make a graph of a model; the path itself of an artifact, of which nothing is to be made.

    Raises:
        PublishError: It cannot be converted, or something is missing.
        ArtifactFormatError: It is a file that is never opened, or of another kind.
    """
    what = what_is(model)
    try:
        if what == "file":
            return _of_file(Path(model), wishes)
        if what == "bytes":
            return _of_bytes(bytes(model), wishes)
        return _of_object(what, model, wishes)
    except ModuleNotFoundError as error:
        raise missing(error) from error


def missing(error: ModuleNotFoundError) -> ConverterMissingError:
    """Return what to say of a package that is not installed."""
    name = (error.name or "").partition(".")[0]
    way = "pip install 'hotswap-stream[publish]'" if name in _WITH_THE_EXTRA else f"pip install {name}"
    return ConverterMissingError(f"{name} is not installed; it comes with: {way}")


def _of_object(what: What, model: Any, wishes: Wishes) -> Conversion:
    example = wishes.example
    if what == "onnx":
        from hotswap_stream.client.publishing.converters.from_onnx import convert_proto

        return convert_proto(model, example)
    if example is None and wishes.compare:
        raise ExampleError(
            "example rows are needed, to compare the model with the graph that is made of it: example=X[:100], or "
            "compare=False to publish it unseen"
        )
    if what == "torch":
        from hotswap_stream.client.publishing.converters.from_torch import convert as of_torch

        if example is None:
            raise ExampleError("torch's exporter needs an example, even where nothing is compared")
        return of_torch(
            model,
            example,
            free=wishes.free,
            allow_non_finite=bool(wishes.allow_non_finite),
            classifies=bool(wishes.labels),
        )
    if wishes.free:
        raise ExampleError("free is for modules of torch; all else takes any number of rows")
    rows = _made_up(model) if example is None else example
    if what == "xgboost":
        from hotswap_stream.client.publishing.converters.from_xgboost import convert as of_xgboost

        return of_xgboost(model, rows)
    if what == "lightgbm":
        from hotswap_stream.client.publishing.converters.from_lightgbm import convert as of_lightgbm

        return of_lightgbm(model, rows)
    from hotswap_stream.client.publishing.converters.from_sklearn import convert as of_sklearn

    return of_sklearn(model, rows)


def _of_file(path: Path, wishes: Wishes) -> Conversion | Path:
    try:
        with path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
        size_bytes = path.stat().st_size
    except OSError as error:
        raise PublishError(f"{path} cannot be read: {error.strerror or error}") from error
    if is_exported_program(head):
        return _of_program(path, wishes)
    if file_kind(head, size_bytes) == "artifact":
        return path
    from hotswap_stream.client.publishing.converters.from_onnx import convert_file

    return convert_file(path, wishes.example)


def _of_program(path: Path, wishes: Wishes) -> Conversion:
    if not wishes.trust_file:
        raise PublishError(
            f"{path} is an exported torch program, and torch unpickles parts of it when it opens one, which can run "
            "any code on this machine: if you trust whoever made it, say trust_file=True (--trust-file), or hand in "
            "the module or the program itself"
        )
    from hotswap_stream.client.publishing.converters.from_torch import open_program

    return _of_object("torch", open_program(path), wishes)


def _of_bytes(content: bytes, wishes: Wishes) -> Conversion:
    if file_kind(content[:HEAD_BYTES], len(content)) == "artifact":
        raise PublishError("the bytes are an artifact: hand in the path of its file")
    from hotswap_stream.client.publishing.converters.from_onnx import convert_bytes

    return convert_bytes(content, wishes.example)


def _made_up(model: Any) -> Any:
    """Return one row of zeros; of a model that does not say how many features it takes, an error."""
    count = getattr(model, "n_features_in_", None)
    for name in ("num_features", "num_feature"):
        if count is None and hasattr(model, name):
            count = getattr(model, name)()
    if count is None or hasattr(model, "feature_names_in_"):
        raise ExampleError(
            "an example is needed, even where nothing is compared: the model takes columns by their names"
        )
    return np.zeros((1, int(count)))
