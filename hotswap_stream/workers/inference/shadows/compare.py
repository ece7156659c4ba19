"""Outputs of a shadow beside those of the version that answered."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_events.inference.messages import InferTensor
from hotswap_stream.application.observations.row_sketches import Floats, as_one_row, labels_and_scores
from hotswap_stream.workers.inference.requests.tensors import Array, write_outputs

CLOSE_RELATIVE = 0.01
"""Values without classes agree if they differ by no more than this share of the primary's."""
CLOSE_ABSOLUTE = 1e-6
SHOWN_TEXT_CHARACTERS_MAX = 100
SHOWN_ELEMENTS_MAX = 1_000
"""A comparison shows no outputs that have more, all together."""


class Compared(Struct, frozen=True, gc=False):
    """The outputs of both versions, row by row."""

    primary: Mapping[str, Array]
    shadow: Mapping[str, Array]
    agree: npt.NDArray[np.bool_]
    difference: Floats
    """The difference of the scores: shadow − primary."""


def compare(primary: Mapping[str, Array], shadow: Mapping[str, Array], *, has_rows: bool = True) -> Compared:
    """Compare the first output of the primary: the same label or text, or values close to each other.

    Without rows all of it is one. Raise ValueError if the shadow does not have it, or has another number of rows.
    """
    name, ours = next(iter(primary.items()))
    theirs = shadow.get(name)
    if theirs is None:
        raise ValueError(f"the shadow has outputs {sorted(shadow)}; {name!r} is what the primary answers")
    if not has_rows:
        ours, theirs = as_one_row(ours), as_one_row(theirs)
    if len(theirs) != len(ours):
        raise ValueError(f"output {name!r} of the shadow has {len(theirs)} rows for {len(ours)} of the primary")
    if "O" in (ours.dtype.kind, theirs.dtype.kind):
        same = ours == theirs if ours.shape == theirs.shape else np.zeros((len(ours), 1), np.bool_)
        rows: npt.NDArray[np.bool_] = np.asarray(same, np.bool_).reshape(len(ours), -1)
        return Compared(primary, shadow, np.asarray(rows.all(axis=1)), np.empty(0))
    our_labels, our_scores = labels_and_scores(ours)
    their_labels, their_scores = labels_and_scores(theirs)
    if our_labels is not None and their_labels is not None:
        agree = our_labels == their_labels
    elif ours.shape == theirs.shape and ours.dtype.kind in "iub":
        agree = (ours == theirs).reshape(len(ours), -1).all(axis=1)
    elif ours.shape == theirs.shape:
        close = np.isclose(theirs, ours, rtol=CLOSE_RELATIVE, atol=CLOSE_ABSOLUTE, equal_nan=True)
        agree = close.reshape(len(ours), -1).all(axis=1)
    else:
        agree = np.zeros(len(ours), np.bool_)
    difference = their_scores - our_scores
    return Compared(primary, shadow, agree, difference[np.isfinite(difference)])


def shown(outputs: Mapping[str, Array], start: int, end: int, *, has_rows: bool = True) -> tuple[InferTensor, ...]:
    """Return these rows as tensors; none if they are too large, or hold what JSON cannot."""
    rows = {name: array[start:end] if has_rows else array for name, array in outputs.items()}
    finite = all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in rows.values())
    if not finite or sum(array.size for array in rows.values()) > SHOWN_ELEMENTS_MAX:
        return ()
    texts = [text for array in rows.values() if array.dtype.kind == "O" for text in array.ravel()]
    if any(len(text) > SHOWN_TEXT_CHARACTERS_MAX for text in texts):
        return ()
    return tuple(write_outputs(rows, raw=False))
