"""Whether an executor computes what it should: each output is compared with a reference's, on seeded inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_events.inference.messages import Datatype
from hotswap_stream.adapters.models.executor import Executor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

Array = npt.NDArray[Any]

NUMPY_OF: dict[Datatype, str] = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "u2", "UINT32": "u4", "UINT64": "u8", "INT8": "i1", "INT16": "i2",
    "INT32": "i4", "INT64": "i8", "FP16": "f2", "FP32": "f4", "FP64": "f8", "BYTES": "O",
}  # fmt: skip

TOLERANCES = {2: 1e-2, 4: 1e-4, 8: 1e-9}
"""Bytes of a float → how far a number may be off, as a part of the largest number in its output. Another order of
adding up changes an FP32 result by 1e-7 to 1e-6 of that; another weight or operation, by far more. Integers and
truth values must be equal."""

WORDS = ("", "a", "some words")
INTEGER_MAX = 1
"""Integers are often indices of unknown range; 0 and 1 are in it."""
SEEDS = (0, 1)
DISTINCT_ROWS = 8


class OutputsDifferError(HotswapError):
    """An executor computes something else than the reference."""


def sample_inputs(manifest: ArtifactManifest, rows: int, seed: int) -> list[Array]:
    """Return inputs of the manifest's types and shapes.

    Args:
        manifest: Declares the inputs.
        rows: Rows of each.
        seed: Even: floats from 0 to 1; odd: normally distributed.
    """
    generator = np.random.default_rng(seed)
    return [
        sample_array(generator, spec.datatype, (rows, *manifest.warm_up[spec.name][1:]), normal=bool(seed % 2))
        for spec in manifest.inputs
    ]


class Reference:
    """What the reference computes for a few distinct rows, once; candidates compute them in batches of any size."""

    def __init__(self, manifest: ArtifactManifest, eager: Executor, rows_max: int) -> None:
        self._manifest = manifest
        self._rows = min(DISTINCT_ROWS, rows_max)
        self._inputs = [sample_inputs(manifest, self._rows, seed) for seed in SEEDS]
        self._outputs = [eager.run(inputs) for inputs in self._inputs]

    def check(self, candidate: Executor, sizes: Sequence[int]) -> None:
        """Raise OutputsDifferError unless each row's outputs are the reference's.

        They must have the same bits wherever in the batch the row is.
        """
        for rows in sizes:
            for seed, inputs, wanted in zip(SEEDS, self._inputs, self._outputs, strict=True):
                # In random order, so that a row has other neighbours each time it comes.
                order = np.random.default_rng(rows).integers(0, self._rows, rows)
                found = candidate.run([array[order] for array in inputs])
                compare(self._manifest, [array[order] for array in wanted], found, f"{rows} rows, seed {seed}")
                self._check_bits(order, found, rows)

    def check_form(self, candidate: Executor, sizes: Sequence[int]) -> None:
        """Raise OutputsDifferError unless outputs have the reference's shapes and types, and are finite where its are.

        For a candidate of lower precision: how far its numbers are off is for those to judge who compare answers.
        """
        for rows in sizes:
            for seed, inputs, wanted in zip(SEEDS, self._inputs, self._outputs, strict=True):
                order = np.arange(rows) % self._rows
                found = candidate.run([array[order] for array in inputs])
                compare_form(self._manifest, [array[order] for array in wanted], found, f"{rows} rows, seed {seed}")

    def _check_bits(self, order: Array, found: Sequence[Array], rows: int) -> None:
        _, first = np.unique(order, return_index=True)
        leader = dict(zip(order[first].tolist(), first.tolist(), strict=True))
        leaders = [leader[row] for row in order.tolist()]
        for spec, array in zip(self._manifest.outputs, found, strict=True):
            led = array[leaders]
            if not (np.array_equal(led, array) if array.dtype.kind == "O" else led.tobytes() == array.tobytes()):
                raise OutputsDifferError(
                    f"output {spec.name!r}: a row's bits depend on its place in the batch ({rows} rows)"
                )


def compare(manifest: ArtifactManifest, wanted: Sequence[Array], found: Sequence[Array], where: str) -> None:
    """Compare outputs. OutputsDifferError names the first one that is off, and by how much."""
    compare_form(manifest, wanted, found, where)
    for spec, one, other in zip(manifest.outputs, wanted, found, strict=True):
        if one.dtype.kind != "f":
            if not np.array_equal(one, other):
                raise OutputsDifferError(f"output {spec.name!r} differs ({where})")
            continue
        finite = np.isfinite(one)
        if not finite.any():
            continue
        off = float(np.abs(one[finite].astype(np.float64) - other[finite]).max())
        allowed = TOLERANCES[one.dtype.itemsize] * max(float(np.abs(one[finite]).max()), 1e-6)
        if off > allowed:
            raise OutputsDifferError(f"output {spec.name!r} is off by {off:.3g}; {allowed:.3g} is allowed ({where})")


def compare_form(manifest: ArtifactManifest, wanted: Sequence[Array], found: Sequence[Array], where: str) -> None:
    """Compare shapes, types, and which numbers are finite. OutputsDifferError names the first output that is off."""
    for spec, one, other in zip(manifest.outputs, wanted, found, strict=True):
        if one.shape != other.shape or one.dtype != other.dtype:
            raise OutputsDifferError(
                f"output {spec.name!r} is {other.dtype} {list(other.shape)}, "
                f"not {one.dtype} {list(one.shape)} ({where})"
            )
        if one.dtype.kind == "f" and not np.array_equal(np.isfinite(one), np.isfinite(other)):
            raise OutputsDifferError(f"output {spec.name!r} is NaN or infinite elsewhere ({where})")


def rows_mix(manifest: ArtifactManifest, eager: Executor, rows_max: int) -> bool:
    """Return whether a row's outputs depend on the rows beside it by more than the last bits.

    Then no rows may be added.
    """
    rows = min(DISTINCT_ROWS, rows_max)
    inputs = sample_inputs(manifest, rows, SEEDS[0])
    others = sample_inputs(manifest, rows, SEEDS[1])
    for array, other in zip(inputs, others, strict=True):
        other[-1] = array[0]
    try:
        compare(
            manifest,
            [array[:1] for array in eager.run(inputs)],
            [array[-1:] for array in eager.run(others)],
            "other rows beside it",
        )
    except OutputsDifferError:
        return True
    return False


def sample_array(generator: np.random.Generator, datatype: Datatype, shape: tuple[int, ...], *, normal: bool) -> Array:
    """Return made-up values: floats from 0 to 1 or normally distributed, whole numbers 0 and 1, a few texts."""
    dtype = NUMPY_OF[datatype]
    kind = np.dtype(dtype).kind
    if kind == "O":
        return np.array(WORDS, object)[generator.integers(0, len(WORDS), shape)]
    if kind != "f":
        return np.asarray(generator.integers(0, INTEGER_MAX + 1, shape)).astype(dtype)
    single = generator.standard_normal(shape, np.float32) if normal else generator.random(shape, np.float32)
    return np.asarray(single).astype(dtype, copy=False)
