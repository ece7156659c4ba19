"""A validation set that somebody registered as a version: a worker says that it cannot be served, and lives on."""

import numpy as np
import pytest

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.adapters.models.by_kind import LoaderByKind, NotServedError


async def test_a_set_is_not_served() -> None:
    store = open_artifact_store(ArtifactStoreConfig(url="memory://"))
    facts = await store.put_artifact(pack_set(labelled_set({"x": np.ones((2, 2)), "labels": np.array([0, 1])})))
    loader = LoaderByKind(store, {})
    with pytest.raises(NotServedError, match="'dataset' compute nothing"):
        await loader.load(facts.digest)
    with pytest.raises(NotServedError, match="'dataset' compute nothing"):
        await loader.load_exactly(facts.digest, "eager")
