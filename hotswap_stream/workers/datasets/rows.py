"""Requests and what was told about them → rows of a dataset, or why there is none."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_events.dataset import DatasetQuery, DatasetSplit
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.workers.datasets.columns import row_bytes
from hotswap_stream.workers.datasets.labels import Told
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import NUMPY_DTYPES, WrongInputError, read_tensor

Array = npt.NDArray[Any]
Rows = dict[str, Array]

ROWS_OF_REQUEST_MAX = 1_024
_PARTS = 2.0**64

Lack = Literal["unfit", "many_rows", "filtered", "other_part", "in_validation_set"]
"""Why there is no row of a request, as the counts name it."""


class Row(Struct, frozen=True, gc=False):
    """What goes in, and one truth or more of what should come out."""

    inputs: Rows
    truths: tuple[Array, ...]


class RowMaker:
    """Makes rows by one query."""

    def __init__(self, query: DatasetQuery, is_excluded: Callable[[Rows], bool]) -> None:
        self.specs = {spec.name: msgspec.convert(msgspec.to_builtins(spec), TensorSpec) for spec in query.inputs}
        self._query = query
        self._is_excluded = is_excluded
        self._labels = frozenset(query.where.labels) if query.where is not None else frozenset()
        self._reward_min = query.where.reward_min if query.where is not None else None

    def row(self, request: Request, told: Sequence[Told]) -> Row | Lack:
        """Return the row of a request.

        Args:
            request: The request.
            told: What is said about it: one, or of chosen items all.
        """
        if (lack := self._left_out(request, told)) is not None:
            return lack
        try:
            inputs = self._inputs(request)
            truths = self._truths(told)
        except (WrongInputError, ValueError, OverflowError, KeyError):
            return "unfit"
        if inputs is None:
            return "many_rows"
        if self._is_excluded(inputs):
            return "in_validation_set"
        return Row(inputs, truths)

    def _left_out(self, request: Request, told: Sequence[Told]) -> Lack | None:
        if self._labels and not all(each.truth in self._labels for each in told):
            return "filtered"
        if self._reward_min is not None and not any(
            each.reward is not None and each.reward >= self._reward_min for each in told
        ):
            return "filtered"
        split = self._query.split
        if split is not None:
            place = request.body.id or f"{request.record.partition}:{request.record.offset}"
            if not split.begin <= share_of(split, place) < split.end:
                return "other_part"
        return None

    def _inputs(self, request: Request) -> Rows | None:
        """Return the inputs of one row; None of several. WrongInputError."""
        tensors = {tensor.name: tensor for tensor in request.body.inputs}
        if len(tensors) != len(request.body.inputs) or set(tensors) != set(self.specs):
            raise WrongInputError("other inputs")
        whole = self._query.batching == "request"
        rows_max = None if whole else ROWS_OF_REQUEST_MAX
        arrays = {name: read_tensor(spec, tensors[name], False, rows_max=rows_max) for name, spec in self.specs.items()}
        if whole:
            return arrays
        if any(len(array) != 1 for array in arrays.values()):
            return None
        return {name: array[0] for name, array in arrays.items()}

    def _truths(self, told: Sequence[Told]) -> tuple[Array, ...]:
        if self._query.truth != "items":
            whole = self._query.truth == "label"
            return (np.asarray(told[0].truth, np.int64 if whole else np.float64),)
        chosen = dict.fromkeys(item for each in told if isinstance(each.truth, tuple) for item in each.truth)
        return tuple(_item(item) for item in chosen)


def share_of(split: DatasetSplit, request_id: str) -> float:
    """Return where a request lies, from 0 up to 1."""
    text = f"{split.seed}\0{request_id}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest()) / _PARTS


def fingerprint(inputs: Rows) -> bytes:
    """Return what is the same for rows with the same inputs, byte for byte."""
    digest = blake2b(digest_size=16)
    for name in sorted(inputs):
        digest.update(row_bytes(inputs[name]))
        digest.update(b"\0")
    return digest.digest()


def fingerprints_of(arrays: Rows, specs: dict[str, TensorSpec]) -> frozenset[bytes]:
    """Return those of all rows of a labelled set's inputs; none where it has other inputs, so that no row is equal."""
    if set(arrays) != set(specs):
        return frozenset()
    typed = {}
    for name, array in arrays.items():
        wanted = NUMPY_DTYPES[specs[name].datatype]
        if (wanted.kind == "O") != (array.dtype.kind == "O"):
            return frozenset()
        typed[name] = array.astype(wanted, copy=False)
    count = len(next(iter(typed.values())))
    return frozenset(fingerprint({name: array[row] for name, array in typed.items()}) for row in range(count))


def _item(item: int | float | str) -> Array:
    if isinstance(item, str):
        text = np.empty((), object)
        text[()] = item
        return text
    return np.asarray(item, np.int64)
