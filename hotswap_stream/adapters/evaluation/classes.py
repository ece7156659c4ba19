"""Which class a model names for each row, whatever form its outputs have: labels, scores of classes, or both."""

import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet
from hotswap_stream.adapters.evaluation.measures import ModelOutputs, finite
from hotswap_stream.application.training.validation_sets import ValidationSetError

_LISTED_MAX = 10


class Classes(Struct, frozen=True, kw_only=True, eq=False):
    """Truth and prediction of each row as positions in `names`."""

    names: tuple[str, ...]
    true: Array
    predicted: Array
    scores: Array | None
    """[rows, names]; None where the model gives none, or of other classes."""
    warnings: tuple[str, ...] = ()


def classes_of(outputs: ModelOutputs, labelled: LabelledSet) -> Classes:
    """Return truth and prediction of each row.

    Raises:
        ValidationSetError: No output fits, it holds NaN, or labels are not among the model's classes.
    """
    labels = _texts(labelled.truths["labels"])
    told, scores = _told(outputs, labelled), _scores(outputs, labelled)
    if told is None and scores is None:
        shapes = {name: f"{array.dtype} {list(array.shape)}" for name, array in outputs.arrays.items()}
        raise ValidationSetError(f"no output holds classes, or scores of classes: the model returns {shapes}")
    named = outputs.manifest.labels
    if scores is not None and len(named) == scores.shape[1]:
        return _by_names(named, labels, told, scores)
    if told is None:
        assert scores is not None  # noqa: S101 - one of the two is there
        return _by_place(labels, scores)
    return _as_told(labels, told, scores)


def _by_names(names: tuple[str, ...], labels: list[str], told: list[str] | None, scores: Array) -> Classes:
    """The manifest names the columns of the scores. Labels are names, or else places."""
    places = {name: place for place, name in enumerate(names)}
    numbers = {str(place): place for place in range(len(names))}
    known = places if all(label in places for label in labels) else numbers
    true = _places(labels, known, names)
    if told is not None and all(label in places for label in told):
        predicted = np.array([places[label] for label in told])
    else:
        predicted = scores.argmax(axis=1)
    return Classes(names=names, true=true, predicted=predicted, scores=scores)


def _by_place(labels: list[str], scores: Array) -> Classes:
    """Nothing names the columns: labels are their places."""
    names = tuple(str(place) for place in range(scores.shape[1]))
    true = _places(labels, {name: place for place, name in enumerate(names)}, names)
    return Classes(names=names, true=true, predicted=scores.argmax(axis=1), scores=scores)


def _as_told(labels: list[str], told: list[str], scores: Array | None) -> Classes:
    """The model says labels. Its scores, if there are any, are of all classes in their order."""
    names = _ordered(set(labels) | set(told))
    warnings: tuple[str, ...] = ()
    if scores is not None:
        by_place = _ordered({str(place) for place in range(scores.shape[1])})
        if set(names) <= set(by_place):
            names = by_place
        elif len(names) != scores.shape[1]:
            warnings = (
                f"log_loss and roc_auc are left out: which of {scores.shape[1]} scores stands for which of "
                f"{len(names)} classes is not known; register the version with a --label for each",
            )
            scores = None
    places = {name: place for place, name in enumerate(names)}
    return Classes(
        names=names,
        true=np.array([places[label] for label in labels]),
        predicted=np.array([places[label] for label in told]),
        scores=scores,
        warnings=warnings,
    )


def _places(labels: list[str], places: dict[str, int], names: tuple[str, ...]) -> Array:
    unknown = sorted(set(labels) - set(places))
    if unknown:
        raise ValidationSetError(
            f"labels {unknown[:_LISTED_MAX]} are none of the model's {len(names)} classes, which are "
            f"{list(names[:_LISTED_MAX])}{' …' if len(names) > _LISTED_MAX else ''}"
        )
    return np.array([places[label] for label in labels])


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Sort as scikit-learn sorts classes: numbers by size, texts by letters."""
    if all(name.removeprefix("-").isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _texts(array: Array) -> list[str]:
    """Return labels as texts, so that 1, 1.0 and "1" are the same class."""
    flat = array.reshape(-1)
    if flat.dtype.kind == "O":
        return [str(value) for value in flat.tolist()]
    return [str(int(value)) for value in flat.tolist()]


def _told(outputs: ModelOutputs, labelled: LabelledSet) -> list[str] | None:
    """Return the output that names one class a row; None where none or several do."""
    found = [
        array
        for name, array in outputs.arrays.items()
        if array.dtype.kind in "?iuO" and array.shape[1:] in ((), (1,)) and labelled.facts.output in (None, name)
    ]
    return _texts(found[0]) if len(found) == 1 else None


def _scores(outputs: ModelOutputs, labelled: LabelledSet) -> Array | None:
    """Return the output with a score for each class; of two classes, one score between 0 and 1 is enough."""
    found = {
        name: array
        for name, array in outputs.arrays.items()
        if array.dtype.kind == "f" and array.ndim in (1, 2) and labelled.facts.output in (None, name)
    }
    wide = {name: array for name, array in found.items() if array.ndim == 2 and array.shape[1] > 1}
    chosen = wide or found
    if len(chosen) > 1:
        raise ValidationSetError(
            f"outputs {sorted(chosen)} could all be scores of classes; choose the set with the name of one"
        )
    if not chosen:
        return None
    name, array = next(iter(chosen.items()))
    scores = finite(name, array)
    if wide:
        return scores
    single = scores.reshape(-1, 1)
    if ((single < 0) | (single > 1)).any():
        raise ValidationSetError(f"output {name!r} has one score a row, and not all are probabilities from 0 to 1")
    return np.hstack([1 - single, single])
