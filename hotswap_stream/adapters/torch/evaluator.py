"""Measuring artifacts of the store on the fixed validation set."""

import asyncio
from functools import cache

from hotswap_stream.adapters.torch.digits import load_digits_split
from hotswap_stream.adapters.torch.evaluate import evaluate, predict
from hotswap_stream.adapters.torch.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.loading import load_module
from hotswap_stream.adapters.torch.training_run import item_shape_of
from hotswap_stream.application.artifact_store import ArtifactStore, LoadedArtifact
from hotswap_stream.application.training import Evaluation


@cache
def validation_set() -> LabeledImages:
    """The validation part of the bundled digits: always the same images."""
    return load_digits_split().validation


class DigitsEvaluator:
    """`Evaluator` for classifiers of the digits. Loads and measures in a thread, so the event loop goes on."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def evaluate(self, digest: str, *, compared_with: str | None = None) -> Evaluation:
        candidate = await self._store.fetch(digest)
        other = None if compared_with is None else await self._store.fetch(compared_with)
        return await asyncio.to_thread(_evaluate, candidate, other)


def _evaluate(candidate: LoadedArtifact, other: LoadedArtifact | None) -> Evaluation:
    data = validation_set()
    predictions = None
    if other is not None:
        predictions = predict(load_module(other.manifest, other.content), data, item_shape_of(other.manifest))
    module = load_module(candidate.manifest, candidate.content)
    return evaluate(module, data, item_shape_of(candidate.manifest), predictions)
