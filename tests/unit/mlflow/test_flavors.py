"""Which flavor of a directory is taken, and the way out for those that are not."""

from typing import Any

import pytest

from hotswap_stream.application.mlflow.importing.flavors import choose
from hotswap_stream.application.mlflow.importing.mlmodel import MlModel
from hotswap_stream.application.mlflow.source import SourceRefusedError

PICKLED: dict[str, Any] = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
SKOPS: dict[str, Any] = {"pickled_model": "model.skops", "serialization_format": "skops"}


def model(**flavors: dict[str, Any]) -> MlModel:
    return MlModel(flavors={"python_function": {"loader_module": "x"}, **flavors})


def test_a_graph_comes_before_all_others() -> None:
    chosen = choose(model(sklearn=SKOPS, onnx={"data": "g/model.onnx"}), ["model.skops", "g/model.onnx"])
    assert (chosen.flavor, chosen.how, chosen.file) == ("onnx", "onnx", "g/model.onnx")
    wanted = [
        name for name in ("g/model.onnx", "g/weights.data", "conda.yaml", "big.bin", "MLmodel") if chosen.wants(name)
    ]
    assert wanted == ["g/model.onnx", "g/weights.data"]


def test_a_graph_that_stands_beside_a_pickle_is_taken_instead() -> None:
    chosen = choose(model(sklearn=PICKLED), ["model.pkl", "model.onnx", "MLmodel"])
    assert (chosen.flavor, chosen.how, chosen.file) == ("sklearn", "onnx", "model.onnx")
    assert not chosen.wants("model.pkl")


def test_estimators_are_opened_with_classes_that_are_known() -> None:
    given = {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBClassifier"}
    assert choose(model(xgboost=given), ["model.ubj"]).model_class == "XGBClassifier"
    assert choose(model(xgboost={"data": "model.ubj"}), ["model.ubj"]).model_class == "Booster"
    skops = {"data": "model.skops", "model_class": "lightgbm.sklearn.LGBMClassifier", "serialization_format": "skops"}
    assert choose(model(lightgbm=skops), ["model.skops"]).how == "skops"
    assert choose(model(pytorch={"model_data": "data"}), ["data/model.pt2"]).file == "data/model.pt2"


@pytest.mark.parametrize(
    ("flavors", "files", "says"),
    [
        ({"sklearn": PICKLED}, ["model.pkl"], r"cloudpickle in 'model.pkl'.*never opened.*skops.*onnx.*publish"),
        ({"sklearn": {"pickled_model": "m.pkl"}}, ["m.pkl"], "never opened"),
        ({"xgboost": {"data": "m.ubj", "model_class": "os.system"}}, ["m.ubj"], "'os.system'"),
        (
            {"lightgbm": {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMClassifier"}},
            ["model.pkl"],
            r"pickle.*booster_",
        ),
        ({"pytorch": {"model_data": "data"}}, ["data/model.pth"], "pickle.*pt2"),
        ({"onnx": {"data": "model.onnx"}}, ["other.bin"], "there is none"),
        ({"onnx": {"data": "../model.onnx"}}, ["model.onnx"], "plain relative name"),
        ({"onnx": {"data": "/etc/passwd"}}, ["model.onnx"], "plain relative name"),
        ({"onnx": {"data": ["model.onnx"]}}, ["model.onnx"], "no name of a file"),
        ({"onnx": {}}, ["model.onnx"], "no name of a file"),
        ({"xgboost": {"data": "a\\b"}}, [], "plain relative name"),
        ({"catboost": {"data": "model.cb"}}, ["model.cb"], r"'catboost' is not imported: save it with"),
        ({"prophet": {}}, [], r"'prophet' is not imported.*mlflow.onnx"),
        ({}, ["python_model.pkl"], "python_function.*runtime plug-in"),
    ],
)
def test_others_are_refused_by_name_with_the_way_out(
    flavors: dict[str, dict[str, Any]], files: list[str], says: str
) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        choose(model(**flavors), files)
