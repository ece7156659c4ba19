"""An answer computed again: by the same weights, executor and number of rows, and held against what was answered."""

from typing import Any, Protocol

from msgspec import Struct

from hotswap_events.registry.version_options import F32
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays
from hotswap_stream.errors import HotswapError

ULP_INTEGERS = {2: "i2", 4: "i4", 8: "i8"}


class NotReproducibleError(HotswapError):
    """The answer and the request do not belong together; the message says why."""


class ExchangeNotFoundError(HotswapError):
    """The request, or its answer, is not in its topic; the message says which and what is there."""


class ExactModel(Protocol):
    """A version that computes passes of a given size, instead of one of its own choice."""

    @property
    def manifest(self) -> ArtifactManifest:
        """Inputs and outputs it declares."""
        ...

    def infer_exactly(self, inputs: Arrays, *, padded_batch_size: int, first_row: int = 0) -> Arrays:
        """Blocking. The rows in passes of exactly this size, from row `first_row` of the pass on, zeros elsewhere."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class ExactLoader(Protocol):
    """Loads a version with a named executor."""

    async def load_exactly(
        self, digest: str, executor: str, precision: str = F32, *, graph_digest: str | None = None
    ) -> ExactModel:
        """Load an artifact for one executor and precision.

        Args:
            digest: The artifact's.
            executor: The only one that may compute it.
            precision: With numbers of which kind.
            graph_digest: Of its architecture's graph, if there is one.

        Raises:
            HotswapError: This executor, or this artifact, is not to be had; the message says why.
        """
        ...


class Difference(Struct, frozen=True, kw_only=True):
    """How far one output, computed again, is from what was answered."""

    output: str
    elements: int
    differing: int
    """Elements whose bits differ. 0 is the aim."""
    abs_max: float = 0.0
    """Largest difference; infinity where only one of the two is finite, or for integers that differ beyond a double."""
    ulp_max: int | None = 0
    """Largest difference in steps between neighbouring floats; None for integers and where one is NaN."""


class Reproduction(Struct, frozen=True, kw_only=True):
    """What came out."""

    artifact_digest: str
    executor: str
    precision: str
    padded_batch_size: int
    rows: int
    differences: tuple[Difference, ...]
    """One an output that was answered, in the manifest's order."""

    @property
    def equal(self) -> bool:
        """Whether every answered number has the same bits."""
        return all(difference.differing == 0 for difference in self.differences)


async def reproduce(
    loader: ExactLoader,
    *,
    artifact_digest: str,
    executor: str,
    padded_batch_size: int,
    inputs: Arrays,
    answered: Arrays,
    precision: str = F32,
    first_row: int = 0,
    graph_digest: str | None = None,
) -> Reproduction:
    """Compute a request's inputs again and compare with the answered outputs.

    Args:
        loader: Loads the artifact with the executor.
        artifact_digest: The answer's.
        executor: The answer's.
        padded_batch_size: The answer's: rows of the forward pass.
        inputs: Tensor name → array, as the request brought them.
        answered: Any of the model's outputs, by name.
        precision: The answer's, if it names one.
        first_row: The request's first row in its batch; it matters only on processors and executors where a row's bits
            depend on its place in the batch.
        graph_digest: Of the graph of the version's architecture, if there is one.

    Raises:
        NotReproducibleError: The answer and the request do not belong together.
        HotswapError: One of those of `load_exactly`.
    """
    model = await loader.load_exactly(artifact_digest, executor, precision, graph_digest=graph_digest)
    try:
        known = [spec.name for spec in model.manifest.outputs]
        unknown = sorted(set(answered) - set(known))
        if unknown or not answered:
            raise NotReproducibleError(f"the answer has outputs {sorted(answered)}; the model has {known}")
        rows = len(next(iter(inputs.values()))) if model.manifest.has_rows else 1
        try:
            found = model.infer_exactly(inputs, padded_batch_size=padded_batch_size, first_row=first_row)
        except (ValueError, KeyError) as error:
            raise NotReproducibleError(f"the request cannot be computed: {error}") from error
        differences = tuple(difference_of(name, answered[name], found[name]) for name in known if name in answered)
    finally:
        model.close()
    return Reproduction(
        artifact_digest=artifact_digest,
        executor=executor,
        precision=precision,
        padded_batch_size=padded_batch_size,
        rows=rows,
        differences=differences,
    )


def difference_of(output: str, answered: Any, found: Any) -> Difference:
    """Compare two arrays.

    Raises:
        NotReproducibleError: Their shapes differ, or values do not fit the computed type.
    """
    import numpy as np  # not at the top: the command line starts without it

    answered = np.asarray(answered)
    if answered.shape != found.shape:
        raise NotReproducibleError(
            f"output {output!r} was answered with shape {list(answered.shape)}, computed with {list(found.shape)}"
        )
    if found.dtype.kind == "O":
        return Difference(output=output, elements=found.size, differing=int((answered != found).sum()), ulp_max=None)
    # From JSON come doubles, in which the float that was written is found again without loss.
    one, two = answered.astype(found.dtype).reshape(-1), found.reshape(-1)
    size = found.dtype.itemsize
    bits = f"V{size}"
    differs = np.ascontiguousarray(one).view(bits) != np.ascontiguousarray(two).view(bits)
    differing = int(differs.sum())
    if differing == 0:
        return Difference(output=output, elements=one.size, differing=0)
    one, two = one[differs], two[differs]
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(one.astype(np.float64) - two.astype(np.float64))
    abs_max = float("inf") if np.isnan(apart).any() else float(apart.max())
    ulp_max = None
    if found.dtype.kind == "f" and np.isfinite(one).all() and np.isfinite(two).all():
        ulp_max = max(
            abs(_place(int(a), size) - _place(int(b), size))
            for a, b in zip(one.view(ULP_INTEGERS[size]), two.view(ULP_INTEGERS[size]), strict=True)
        )
    return Difference(output=output, elements=answered.size, differing=differing, abs_max=abs_max, ulp_max=ulp_max)


def _place(bits: int, size: int) -> int:
    """Return a float's place in the order of all floats of its size, from its bits as a signed integer."""
    return bits if bits >= 0 else -(bits + (1 << (8 * size - 1)))
