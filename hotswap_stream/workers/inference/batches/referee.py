"""Whose fault a failed request is: the version's, or its input's, which any version would refuse.

Circuits, rollouts and alerts count a version's failures. Whoever may ask may also ask for what no version can compute:
ids that no table has, numbers whose product is infinite. Fifty such requests must not put a fleet back to an old
version; a version that cannot do what the one before could must be put back. Evidence decides, in this order:

1. The version fails with its own sample inputs, as it was warmed up with: it is broken, and all failures are its own.
2. Another version that takes the same inputs is loaded, and works with its own samples: it tries the request. Where it
   answers, the version is to blame; where it fails too, the input is.
3. Nobody else can try. Then the kind of failure decides: what a wrong input causes is the input's fault.

A heuristic that gives the same answer to everything is no witness.
"""

import time
from collections.abc import Collection, Iterable

import numpy as np

from hotswap_stream.application.artifacts.heuristic import CONSTANT
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.workers.inference.batches.batches import Group
from hotswap_stream.workers.inference.requests.tensors import NUMPY_DTYPES, Array

TRIED_MAX = 4
"""Failed requests of one forward pass that another version tries; the others count as most of these do."""
WITNESS_SECONDS_MAX = 5.0
"""How long the other version is asked for, where it takes long to fail; the request that is being tried is finished."""
SAMPLED_SECONDS = 1.0
"""How long it holds what the sample inputs said of a version."""
VERSIONS_REMEMBERED_MAX = 16


class Referee:
    """Find out whether the version or the input is to blame. For the thread that computes."""

    def __init__(self, slots: VersionSlots) -> None:
        self._slots = slots
        self._works: dict[str, tuple[float, bool]] = {}
        """Version → when it was tried with its samples (monotonic seconds), and whether it computed them."""

    def judge(self, group: Group, failures: Collection[int], suspects: Collection[int]) -> frozenset[int]:
        """Return the failures that the input is to blame for.

        Args:
            group: The requests of one forward pass.
            failures: Positions of those that failed.
            suspects: Positions of those that failed in a way that a wrong input causes.
        """
        if not failures or not self._works_with_samples(group.lease):
            return frozenset()
        witness = self._slots.lease_other(
            group.lease.model_version, lambda manifest: _comparable(manifest, group.lease.model.manifest)
        )
        if witness is None:
            return frozenset(suspects)
        try:
            if self._works_with_samples(witness):
                return frozenset(_refused_by(witness.model, group, failures))
            return frozenset(suspects)
        finally:
            self._slots.release(witness)

    def _works_with_samples(self, lease: Lease) -> bool:
        now_s = time.monotonic()
        tried = self._works.get(lease.model_version)
        if tried is None or now_s - tried[0] >= SAMPLED_SECONDS:
            if len(self._works) >= VERSIONS_REMEMBERED_MAX:
                self._works.clear()
            works = _computes(lease.model, sample_inputs(lease.model.manifest))
            tried = self._works[lease.model_version] = now_s, works
        return tried[1]


def sample_inputs(manifest: ArtifactManifest) -> dict[str, Array]:
    """Return inputs of the manifest's warm-up shapes, as a version is tried with when it is loaded."""
    samples: dict[str, Array] = {}
    for spec in manifest.inputs:
        shape, dtype = manifest.warm_up[spec.name], NUMPY_DTYPES[spec.datatype]
        if dtype.kind == "O":
            samples[spec.name] = np.full(shape, "", dtype)
        elif dtype.kind == "f":
            samples[spec.name] = np.linspace(0, 1, num=int(np.prod(shape))).reshape(shape).astype(dtype)
        else:
            samples[spec.name] = np.zeros(shape, dtype)
    return samples


def _comparable(other: ArtifactManifest, manifest: ArtifactManifest) -> bool:
    if other.batching != manifest.batching:
        return False
    return other.architecture != CONSTANT and other.inputs == manifest.inputs


def _refused_by(witness: LoadedModel, group: Group, failures: Collection[int]) -> Iterable[int]:
    """Return the positions of failed requests that the witness cannot compute either."""
    starts = np.cumsum([0, *group.rows])
    failed = sorted(failures)
    step = max(1, len(failed) // TRIED_MAX)
    tried: list[int] = []
    refused = []
    deadline_s = time.monotonic() + WITNESS_SECONDS_MAX
    for position in failed[::step][:TRIED_MAX]:
        if time.monotonic() > deadline_s:
            break
        tried.append(position)
        inputs = group.inputs
        if witness.manifest.has_rows:
            rows = slice(starts[position], starts[position + 1])
            inputs = {name: array[rows] for name, array in inputs.items()}
        if not _computes(witness, inputs):
            refused.append(position)
    if len(refused) * 2 > len(tried):
        refused.extend(set(failed) - set(tried))
    return refused


def _computes(model: LoadedModel, inputs: dict[str, Array]) -> bool:
    """Return whether the model computes them, with numbers that its manifest allows."""
    try:
        outputs = model.infer(inputs)
        if model.manifest.has_rows:
            rows = len(next(iter(inputs.values())))
            if any(len(array) != rows for array in outputs.values()):
                return False
        return model.manifest.allow_non_finite or all(
            array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in outputs.values()
        )
    except Exception:  # noqa: BLE001  # the module's code is not ours; that it fails is the answer
        return False
