"""`MLmodel` files: those of MLflow are read, and those of somebody who means harm cost nothing."""

import pytest

from hotswap_stream.application.mlflow.importing.mlmodel import MLMODEL_BYTES_MAX, read_mlmodel
from hotswap_stream.application.mlflow.source import SourceRefusedError

USUAL = b"""
flavors:
  python_function: &shared {loader_module: mlflow.sklearn}
  sklearn: {pickled_model: model.skops, serialization_format: skops}
  again: *shared
mlflow_version: 3.17.2
model_id: null
run_id: 159b7139a2a748b58232fcd0df8f48b8
saved_input_example_info: {artifact_path: input_example.json, type: dataframe, pandas_orient: split}
signature: {inputs: '[]', outputs: null}
utc_time_created: 2026-11-29 16:34:54.604
"""


def test_what_matters_is_read_and_the_rest_left() -> None:
    model = read_mlmodel(USUAL)
    assert list(model.flavors) == ["python_function", "sklearn", "again"]
    assert model.flavors["again"] == {"loader_module": "mlflow.sklearn"}
    assert (model.run_id, model.model_id) == ("159b7139a2a748b58232fcd0df8f48b8", None)
    assert model.saved_input_example_info is not None
    assert model.saved_input_example_info.artifact_path == "input_example.json"
    assert model.signature is not None
    assert model.signature.inputs == "[]"


def laughs(levels: int) -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join(f'*a{level - 1}' for _ in range(10))}]" for level in range(1, levels)]
    return "\n".join([*lines, "flavors: {onnx: {data: model.onnx}}"]).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (laughs(12), "values, its references written out"),
        (b"flavors: &a {onnx: *a}", "within itself"),
        (b"[" * 100_000, "deeper than"),
        (b"flavors: {onnx: " + b"{a: " * 60 + b"1" + b"}" * 61, "deeper than"),
        (b"x" * (MLMODEL_BYTES_MAX + 1), "are read"),
        (b"\x80\x05\x95\x00pickle", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'flavors: !!python/object/apply:os.system ["echo"]', "cannot be read"),
        (b"flavors: [onnx]", "cannot be read"),
        (b"flavors: {onnx: model.onnx}", "cannot be read"),
        (b"flavors: {1: {data: model.onnx}}", "cannot be read"),
        (b"", "cannot be read"),
        (b"flavors: {}", "0 flavors"),
        (b"flavors: {" + b", ".join(b"f%d: {}" % index for index in range(40)) + b"}", "40 flavors"),
        (b"flavors: {a: {}}\nrun_id: {a: b}", "cannot be read"),
        (b"flavors: {a: {}}\nsaved_input_example_info: {artifact_path: ../../etc/passwd}", "plain relative name"),
        (b"flavors: {a: {}}\n--- \nflavors: {b: {}}", "cannot be read"),
    ],
)
def test_what_is_no_such_file_is_refused_in_words(content: bytes, says: str) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        read_mlmodel(content)
