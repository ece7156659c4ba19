"""Made-up requests for graphs."""

import numpy as np

from hotswap_stream.adapters.models.checking import sample_array
from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.application.artifacts.manifest import ArtifactManifest


def sample_request(manifest: ArtifactManifest) -> dict[str, Array]:
    """Return made-up inputs of the warm-up shapes, one row or one request."""
    generator = np.random.default_rng(0)
    first = 1 if manifest.has_rows else 0
    return {
        spec.name: sample_array(
            generator, spec.datatype, ((1,) * first) + manifest.warm_up[spec.name][first:], normal=False
        )
        for spec in manifest.inputs
    }
