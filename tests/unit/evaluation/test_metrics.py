"""Figures of each kind of set, against scikit-learn or values that anybody can work out."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from hotswap_stream.adapters.evaluation.evaluators import evaluator_of
from hotswap_stream.adapters.evaluation.labelled_set import Array, labelled_set
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, check_metrics, compared, metrics_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.training.evaluation import Metric
from hotswap_stream.application.training.validation_sets import ValidationSetError

ROWS = 60
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, ROWS)
LABELS[:3] = (0, 1, 2)
LOGITS = RANDOM.standard_normal((ROWS, 3)) + 1.5 * np.eye(3)[LABELS]
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
NUMBERS = RANDOM.uniform(1, 9, ROWS)
GUESSES = NUMBERS + RANDOM.standard_normal(ROWS)


def measure(
    kind: str,
    truths: dict[str, Array],
    outputs: dict[str, Array],
    labels: tuple[str, ...] = (),
    output: str | None = None,
) -> Measures:
    rows = len(next(iter(truths.values())))
    labelled = labelled_set({"x": np.ones((rows, 1)), **truths}, kind=kind, output=output)
    spec = TensorSpec(name="x", datatype="FP64", shape=(-1, 1))
    manifest = ArtifactManifest(kind="onnx", inputs=(spec,), outputs=(spec,), warm_up={"x": (1, 1)}, labels=labels)
    return evaluator_of(kind)(ModelOutputs(manifest, outputs), labelled)


def values(measures: Measures) -> dict[str, float]:
    return {metric.name: metric.value for metric in measures.metrics}


class TestClassification:
    def test_scores_of_all_classes(self) -> None:
        found = measure("classification", {"labels": LABELS}, {"y": SHARES})
        predicted = SHARES.argmax(axis=1)
        assert values(found) == pytest.approx(
            {
                "accuracy": reference.accuracy_score(LABELS, predicted),
                "macro_f1": reference.f1_score(LABELS, predicted, average="macro"),
                "log_loss": reference.log_loss(LABELS, SHARES),
                "roc_auc": reference.roc_auc_score(LABELS, SHARES, multi_class="ovr"),
            }
        )
        assert {metric.name: (metric.better, metric.unit) for metric in found.metrics} == {
            "accuracy": ("higher", "share"),
            "macro_f1": ("higher", "share"),
            "log_loss": ("lower", "nat"),
            "roc_auc": ("higher", "share"),
        }
        assert found.warnings == ()

    def test_logits_are_told_of(self) -> None:
        found = measure("classification", {"labels": LABELS}, {"y": LOGITS.astype(np.float32)})
        assert values(found)["log_loss"] == pytest.approx(reference.log_loss(LABELS, SHARES), rel=1e-5)
        assert "taken for logits" in found.warnings[0]

    def test_labels_and_scores_as_scikit_learn_exports_them(self) -> None:
        told = np.array([5, 7, 9])[SHARES.argmax(axis=1)]
        found = measure(
            "classification", {"labels": np.array([5, 7, 9])[LABELS]}, {"label": told, "probabilities": SHARES}
        )
        assert values(found) == pytest.approx(values(measure("classification", {"labels": LABELS}, {"y": SHARES})))
        assert set(found.predictions.tolist()) <= {"5", "7", "9"}

    def test_classes_that_are_texts(self) -> None:
        names = np.array(["ant", "bee", "cow"], object)
        by_place = values(measure("classification", {"labels": LABELS}, {"y": SHARES}))
        for outputs, labels in (
            ({"label": names[SHARES.argmax(axis=1)], "scores": SHARES}, ()),
            ({"scores": SHARES}, ("ant", "bee", "cow")),
        ):
            found = measure("classification", {"labels": names[LABELS]}, outputs, labels)
            assert values(found) == pytest.approx(by_place)
        numbered = measure("classification", {"labels": LABELS}, {"scores": SHARES}, ("ant", "bee", "cow"))
        assert values(numbered) == pytest.approx(by_place)
        assert set(numbered.predictions.tolist()) <= set(names.tolist())

    def test_labels_alone(self) -> None:
        found = measure("classification", {"labels": LABELS}, {"label": SHARES.argmax(axis=1)[:, np.newaxis]})
        assert set(values(found)) == {"accuracy", "macro_f1"}

    @pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
    def test_one_probability_is_that_of_class_1(self, shape: tuple[int, ...]) -> None:
        labels = (LABELS > 0).astype(np.int64)
        shares = np.clip(labels * 0.4 + RANDOM.uniform(0, 0.6, ROWS), 0, 1)
        found = values(measure("classification", {"labels": labels}, {"p": shares.reshape(shape)}))
        assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, shares > 0.5))
        assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(labels, shares))

    def test_a_class_without_a_row_leaves_roc_auc_out(self) -> None:
        found = measure("classification", {"labels": np.minimum(LABELS, 1)}, {"y": SHARES})
        assert "roc_auc" not in values(found)
        assert "roc_auc is left out" in found.warnings[0]

    def test_scores_of_classes_nobody_names(self) -> None:
        found = measure(
            "classification", {"labels": np.array([5, 7, 9])[LABELS]}, {"label": np.full(ROWS, 5), "y": SHARES[:, :2]}
        )
        assert set(values(found)) == {"accuracy", "macro_f1"}
        assert "--label for each" in found.warnings[0]

    @pytest.mark.parametrize(
        ("outputs", "labels", "words"),
        [
            ({"y": SHARES}, LABELS + 1, r"labels \['3'\] are none of the model's 3 classes"),
            ({"y": SHARES}, LABELS - 1, r"labels \['-1'\]"),
            ({"y": SHARES}, np.full(ROWS, "ant", object), r"labels \['ant'\]"),
            ({"y": SHARES, "z": SHARES}, LABELS, "could all be scores"),
            ({"y": SHARES[:, 0] * 9}, LABELS, "not all are probabilities"),
            ({"y": np.where(SHARES > 0.5, np.nan, SHARES)}, LABELS, "'y' holds NaN or infinity"),
            ({"y": np.ones((ROWS, 2, 2, 2))}, LABELS, "no output holds classes"),
        ],
    )
    def test_outputs_that_do_not_fit(self, outputs: dict[str, Array], labels: Array, words: str) -> None:
        with pytest.raises(ValidationSetError, match=words):
            measure("classification", {"labels": labels}, outputs)


class TestRegression:
    def test_against_scikit_learn(self) -> None:
        found = measure("regression", {"target": NUMBERS}, {"variable": GUESSES.reshape(-1, 1)})
        assert values(found) == pytest.approx(
            {
                "mae": reference.mean_absolute_error(NUMBERS, GUESSES),
                "rmse": reference.root_mean_squared_error(NUMBERS, GUESSES),
                "mape": reference.mean_absolute_percentage_error(NUMBERS, GUESSES),
                "r2": reference.r2_score(NUMBERS, GUESSES),
            }
        )
        assert {metric.name: (metric.better, metric.unit) for metric in found.metrics} == {
            "mae": ("lower", "target"),
            "rmse": ("lower", "target"),
            "mape": ("lower", "ratio"),
            "r2": ("higher", "ratio"),
        }

    def test_what_says_nothing_is_left_out_and_told_of(self) -> None:
        found = measure("regression", {"target": np.zeros(3)}, {"y": np.ones(3)})
        assert values(found) == {"mae": 1.0, "rmse": 1.0}
        assert [words.partition(" ")[0] for words in found.warnings] == ["mape", "r2"]

    def test_one_of_several_outputs(self) -> None:
        outputs = {"mean": GUESSES, "spread": GUESSES * 0}
        with pytest.raises(ValidationSetError, match="2 outputs fit 'target'"):
            measure("regression", {"target": NUMBERS}, outputs)
        found = values(measure("regression", {"target": NUMBERS}, outputs, output="mean"))
        assert found["mae"] == pytest.approx(reference.mean_absolute_error(NUMBERS, GUESSES))
        with pytest.raises(ValidationSetError, match="no outputs named 'other'"):
            measure("regression", {"target": NUMBERS}, outputs, output="other")


class TestForecasting:
    def test_values_that_can_be_worked_out(self) -> None:
        target, guess = np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[2.0, 2.0], [0.0, 2.0]])
        found = measure("forecasting", {"target": target, "scale": np.array([0.5, 2.0])}, {"y": guess})
        assert values(found) == pytest.approx(
            {
                "mae": 0.75,
                "rmse": np.sqrt(5 / 4),
                "smape": (2 / 3 + 0 + 0 + 4 / 6) / 4,
                "mase": (0.5 / 0.5 + 1.0 / 2.0) / 2,
                "mae_step_1": 0.5,
                "mae_step_2": 1.0,
            }
        )

    def test_without_a_scale_there_is_no_mase(self) -> None:
        found = measure("forecasting", {"target": NUMBERS.reshape(-1, 30)}, {"y": GUESSES.reshape(-1, 30)})
        assert "mase" not in values(found)
        assert sum(name.startswith("mae_step_") for name in values(found)) == 24
        assert [words.partition(" ")[0] for words in found.warnings] == ["mase", "only"]


class TestRanking:
    def test_values_that_can_be_worked_out(self) -> None:
        relevance = np.zeros((2, 12))
        relevance[0, 3], relevance[1, 8] = 1.0, 2.0
        scores = np.tile(-np.arange(12.0), (2, 1))
        found = values(measure("ranking", {"relevance": relevance}, {"scores": scores}))
        assert found == pytest.approx(
            {
                "hr_at_1": 0.0,
                "hr_at_5": 0.5,
                "hr_at_10": 1.0,
                "ndcg_at_1": 0.0,
                "ndcg_at_5": (1 / np.log2(5)) / 2,
                "ndcg_at_10": (1 / np.log2(5) + 1 / np.log2(10)) / 2,
            }
        )

    def test_a_model_that_scores_all_alike_hits_nothing(self) -> None:
        relevance = np.eye(12)[:, :12]
        found = values(measure("ranking", {"relevance": relevance}, {"scores": np.ones((12, 12))}))
        assert found["hr_at_10"] == 0.0

    def test_several_relevant_items_do_not_stand_in_each_other_s_way(self) -> None:
        relevance = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
        scores = np.array([[3.0, 2.0, 1.0], [2.0, 1.0, 3.0]])
        assert values(measure("ranking", {"relevance": relevance}, {"y": scores}))["hr_at_1"] == 0.5

    def test_rows_without_a_relevant_item_are_misses(self) -> None:
        found = measure("ranking", {"relevance": np.array([[0.0, 0.0], [1.0, 0.0]])}, {"y": np.array([[1.0, 0.0]] * 2)})
        assert values(found)["hr_at_1"] == 0.5
        assert "1 rows have no relevant item" in found.warnings[0]
        with pytest.raises(ValidationSetError, match="one item has no order"):
            measure("ranking", {"relevance": np.ones((3, 1))}, {"y": np.ones((3, 1))})


def test_how_far_two_versions_are_apart() -> None:
    classes = np.array(["a", "b", "b", "a"], object)
    assert compared(classes, classes[::-1]) == Metric(name="agreement", value=1.0, better="higher", unit="share")
    half = compared(classes, np.array(["a"] * 4, object))
    assert half is not None
    assert half.value == 0.5
    numbers = compared(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    assert numbers is not None
    assert (numbers.name, numbers.value) == ("difference_mae", 1.5)
    assert compared(np.ones(2), np.ones(3)) is None


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ([Metric(name=str(n), value=0.0, better="higher", unit="") for n in range(49)], "49 metrics"),
        (metrics_of({"mae": 1.0}) * 2, "2 metrics"),
        ([Metric(name="mine", value=float("nan"), better="higher", unit="")], "is nan"),
    ],
)
def test_metrics_that_no_event_could_carry(metrics: Any, words: str) -> None:
    with pytest.raises(ValidationSetError, match=words):
        check_metrics(metrics)
